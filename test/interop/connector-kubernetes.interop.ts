import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sql } from 'kysely'
import { redeem } from '../../demo/people.ts'
import { CONFORMANCE } from '../../src/connectors/conformance.fixture.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { collectSource, registerSource } from '../../src/inventory/contract.ts'
import { eventually } from '../support/eventually.ts'
import { founded } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { ask } from '../support/kubernetes-cluster.ts'
import { core, rbac, shopBed } from './peers/kubernetes-shop.ts'

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over kube-apiserver: ${story}`, async (t) => run(t, await shopBed(t)))
}

test('a shop on a real cluster is told: rights, mounts, tokens, and who asked for what', async (t) => {
  const { cluster, settings, credential, connector, token } = await shopBed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(
    connector,
    { ...(settings as object), auditLog: cluster.auditLog, auditSeesAll: true },
    credential && { credential },
  )
  await ask(cluster.url, { method: 'GET', path: '/api/v1/secrets?limit=1', token, ca: cluster.authorities })
  const { scopes } = await i.collect(id)

  assert.deepEqual(
    scopes.map(({ scope, status }) => [scope, status]).filter(([, status]) => status !== 'complete'),
    [],
  )
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}`,
    )
  has('observed_grant', 'cluster-admin', 'system:masters')
  has('observed_grant', 'bind,escalate', 'rbac.authorization.k8s.io/clusterroles')
  has('observed_grant', 'BOUND ClusterRole', 'shop/cart-widens')
  has('observed_credential', 'shop/cart-token', 'service-account-token', 'legacy')
  has('observed_credential', 'token of shop/cart for the API server', '3607')
  has('observed_credential', 'shop/db', 'isCopiedInAnnotation')
  has('observed_reference', 'app: $PW')
  has('observed_trust', 'runs-as')
  // Any account may ask for it, unless that was taken away.
  has('observed_resource', 'token-issuer', 'https://')
  has('observed_principal', 'tokenSubjects', 'system:serviceaccount:shop:cart')
  has('observed_usage', 'list core/secrets')
  has('usage_window', 'every-use')
  // What was asked for secrets, as the API server itself wrote it down: nothing but lists, none of them with data.
  const asked = readFileSync(cluster.auditLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('serviceaccount:watch:reeve'))
  assert.ok(asked.length > 10)
  const verbs = new Set(asked.map((line) => (JSON.parse(line) as { verb: string }).verb))
  assert.deepEqual([...verbs].toSorted(), ['create', 'get', 'list'])
  const created = asked.filter((line) => line.includes('"verb":"create"'))
  assert.ok(created.every((line) => line.includes('selfsubjectaccessreviews')))
})

test('an API server posts its audit events to the node by its webhook backend, and each request is counted as often as it was made', async (t) => {
  const found = await founded(t)
  const { ada, server, database } = found
  const name = 'shop-cluster'
  const made = { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'ada' }
  const { id } = await ada.ask(registerIdentity, { input: made })
  await ada.ask(attestOwner, { params: { identity: name } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
  const { address, authority = '', token: posts } = (await redeem(server, secret)).connection
  const webhook = { server: new URL(`/v1/sources/${name}/deliveries`, address).href, authority }
  const b = await shopBed(t, { ...webhook, token: posts?.reveal() ?? '' })
  const settings = { ...(b.settings as object), auditDeliveredBy: id }
  const source = { connector: 'kubernetes', ownerTeam: 'shop', environment: 'production', schedule: 'never' }
  await ada.ask(registerSource, { input: { name, ...source, settings, credential: b.credential } })
  const rows = async (query: ReturnType<typeof sql<{ n: number }>>) => (await query.execute(database.db)).rows[0]?.n
  // Nobody else asks for one account: the connector lists them.
  const came = sql<{ n: number }>`
    select count(*)::int as n from delivery where content -> 'objectRef' ->> 'resource' = 'serviceaccounts' and content ->> 'verb' = 'get'
       and content -> 'user' ->> 'username' = 'admin'`

  for (let at = 0; at < 7; at += 1) await b.cluster.api('GET', `${core('serviceaccounts', 'shop')}/cart`)
  await eventually(async () => ((await rows(came)) === 7 ? true : undefined))
  const { scopes } = await ada.ask(collectSource, { params: { source: name } })
  const again = await ada.ask(collectSource, { params: { source: name } })

  assert.deepEqual(
    [...scopes, ...again.scopes]
      .filter(({ status }) => status !== 'complete')
      .map(({ scope, missing }) => [scope, missing]),
    [],
  )
  // The audit log beside it is the API server's own count of requests that ended.
  const logged = readFileSync(b.cluster.auditLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"username":"admin"') && line.includes('"verb":"get"'))
    .filter((line) => line.includes('/serviceaccounts/cart') && line.includes('"stage":"ResponseComplete"'))
  assert.equal(logged.length, 7)
  const counted = sql<{ n: number }>`
    select sum(count)::int as n from observed_usage where privilege = 'get core/serviceaccounts' and agent is null`
  assert.equal(await rows(counted), 7)
  assert.equal(await rows(sql`select count(*)::int as n from usage_window where sees = 'samples'`), 1)
})

test('2,300 accounts come in pages, a right that is taken away in mid-run is denied by its verb, and nothing is lost', async (t) => {
  const { cluster, settings, credential, connector } = await shopBed(t)
  for (let at = 0; at < 2_300; at += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, of) =>
        cluster.apply(core('serviceaccounts', 'shop'), { metadata: { name: `many-${at + of}` } }),
      ),
    )
  }
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, credential && { credential })
  const first = await i.collect(id)
  const before = await i.count('observed_principal', `type = 'service' and missed_at is null`)
  let pages = 0
  const onPage = ({ scope }: { scope: string }) => {
    if (scope !== 'service-accounts') return
    pages += 1
    if (pages === 2) removed = cluster.api('DELETE', `${rbac('clusterrolebindings')}/reeve-inventory`)
  }
  let removed: Promise<unknown> | undefined
  const { scopes } = await i.collect(id, { onPage })
  await removed

  assert.equal(first.scopes.find(({ scope }) => scope === 'service-accounts')?.status, 'complete')
  assert.ok(before >= 2_300)
  assert.ok(
    scopes.some(({ status, missing }) => status === 'denied' && missing[0]?.permission?.startsWith('list ') === true),
  )
  assert.equal(await i.count('observed_principal', `type = 'service' and missed_at is null`), before)
})
