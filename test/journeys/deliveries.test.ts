import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { redeem } from '../../demo/people.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { collectSource, readSource, registerSource, retireSource } from '../../src/inventory/contract.ts'
import { TOKEN } from '../../src/connectors/kubernetes/api-server.fixture.ts'
import { stubbed } from '../../src/connectors/kubernetes/shop.fixture.ts'
import type { Client } from '../../src/cli/client.ts'
import { cleaningOfFile, founded, type Site } from '../support/installation.ts'
import { ask } from '../support/kubernetes-cluster.ts'

// The API server that is read is a stub here; a real one posts in test/interop/connector-kubernetes.interop.ts.

const cleaning = cleaningOfFile()
let found: Site & { readonly ada: Client }
let url: string

before(async () => {
  found = await founded(cleaning)
  ;({ url } = await stubbed(cleaning))
})
after(() => cleaning.now())

let names = 0
/** A workload with an attested owner and a bare token, and a source that names it. */
async function deliverer(at = url) {
  const { ada, server } = found
  const name = `cluster-${(names += 1)}`
  const made = { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'ada' }
  const { id } = await ada.ask(registerIdentity, { input: made })
  await ada.ask(attestOwner, { params: { identity: name } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
  const { connection } = await redeem(server, secret)
  await ada.ask(registerSource, {
    input: {
      name,
      connector: 'kubernetes',
      settings: { url: at, auditDeliveredBy: id, auditSeesAll: true },
      credential: { token: TOKEN },
      ownerTeam: 'shop',
      environment: 'production',
      schedule: 'never',
    },
  })
  return { name, token: connection.token?.reveal() ?? '' }
}

function post(source: string, token: string, body: unknown) {
  const { address, authority: ca = '' } = found.nobody.connection
  const path = `/v1/sources/${source}/deliveries?timeout=30s`
  return ask(address.href, { method: 'POST', path, body, token, ca })
}

const list = (...items: unknown[]) => ({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items })
const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()

function event(auditID: string, minutes: number, more: object = {}) {
  return {
    level: 'Metadata',
    auditID,
    stage: 'ResponseComplete',
    verb: 'get',
    requestURI: '/api/v1/namespaces/shop/secrets/db?secret-of-mine',
    user: { username: 'system:serviceaccount:shop:cart', uid: 'sa-cart', groups: ['system:authenticated'] },
    objectRef: { resource: 'secrets', namespace: 'shop', name: 'db' },
    responseStatus: { code: 200 },
    requestReceivedTimestamp: ago(minutes),
    stageTimestamp: ago(minutes),
    ...more,
  }
}

const told = async (text: Promise<{ text: string }>) => JSON.parse((await text).text) as unknown
const rows = async (text: string) => (await sql.raw<Record<string, unknown>>(text).execute(found.database.db)).rows
const uses = () => rows(`select sum(count)::int as n from observed_usage where privilege = 'get core/secrets'`)
const audit = async (source: string) => {
  const { scopes } = await found.ada.ask(collectSource, { params: { source } })
  return scopes.find(({ scope }) => scope === 'audit')
}

test('attack: nobody posts but who the source names: no token, a made-up one, another source’s, the founder’s', async () => {
  const [mine, other] = [await deliverer(), await deliverer()]
  const body = list(event('a', 1))

  for (const token of ['', 'reeve_made_up']) assert.equal((await post(mine.name, token, body)).status, 401, token)
  const founders = found.ada.connection.token?.reveal() ?? ''
  for (const token of [other.token, founders]) assert.equal((await post(mine.name, token, body)).status, 403)
  assert.equal((await post('no-such', mine.token, body)).status, 404)
  assert.deepEqual(await rows('select * from delivery'), [])
})

test('attack: a huge body, nonsense, what is old, ahead or hostile is refused and counted, and nothing of it breaks the reading', async () => {
  const { name, token } = await deliverer()

  assert.equal((await post(name, token, list('x'.repeat(1_100_000)))).status, 413)
  for (const body of [
    'nonsense',
    [],
    { kind: 'Secret' },
    { ...list(), apiVersion: 'audit.k8s.io/v2' },
    { kind: 'EventList' },
  ])
    assert.equal((await post(name, token, body)).status, 400, JSON.stringify(body))
  const bad = [
    'no event',
    null,
    event('', 1),
    event('old', 100),
    event('ahead', -100),
    { ...event('b', 1), auditID: undefined },
  ]
  assert.deepEqual(await told(post(name, token, list(...bad))), { kept: 0, repeated: 0, refused: bad.length })
  assert.deepEqual(await rows('select * from delivery'), [])
})

test('a delivery counts once, whether it is repeated before the reading, after it, or in itself; its window breaks at a silence', async () => {
  const { name, token } = await deliverer()
  const first = list(event('1', 50), event('1', 50, { stage: 'RequestReceived' }), event('2', 48), event('2', 48))
  const second = list(event('3', 20), event('4', 15))

  assert.deepEqual(await told(post(name, token, first)), { kept: 2, repeated: 1, refused: 0 })
  const both = await Promise.all([post(name, token, second), post(name, token, second), post(name, token, first)])
  assert.ok(both.every(({ status }) => status === 200))
  const read = await audit(name)
  assert.deepEqual(await uses(), [{ n: 4 }])
  assert.equal(read?.status, 'partial')
  assert.match(read?.missing[0]?.what ?? '', /^requests from .* to /)
  assert.match(read?.missing[1]?.what ?? '', /^requests since /)
  const [kept] = await rows('select count(*)::int as n, count(content)::int as contents from delivery')
  assert.deepEqual(kept, { n: 4, contents: 0 })
  const seen = async (minutes: number) =>
    (await rows(`select 1 from usage_window where sees = 'every-use' and seen @> '${ago(minutes)}'::timestamptz`))
      .length
  assert.deepEqual([await seen(49), await seen(30), await seen(17), await seen(5)], [1, 0, 1, 0])

  assert.deepEqual(await told(post(name, token, first)), { kept: 0, repeated: 3, refused: 0 })
  assert.deepEqual(await told(post(name, token, list('nonsense', event('5', 1)))), { kept: 1, repeated: 0, refused: 1 })
  const later = await audit(name)
  assert.deepEqual(await uses(), [{ n: 5 }])
  assert.ok(later?.missing.some(({ what }) => what === '1 events'))
  assert.ok((await audit(name))?.missing.every(({ what }) => what !== '1 events'))
  assert.ok(!JSON.stringify(await rows('select * from delivery')).includes('secret-of-mine'))

  await found.ada.ask(retireSource, { params: { source: name } })
  assert.equal((await post(name, token, list(event('6', 1)))).status, 409)
  assert.deepEqual(await rows('select * from delivery'), [])
  assert.equal((await found.ada.ask(readSource, { params: { source: name } })).state, 'retired')
})

test('attack: a request for a path that no table keeps has no other event of its batch refused', async () => {
  const { name, token } = await deliverer()
  // `GET /api/v1/pods%00`, which nobody needs a right to ask for: the API server tells the path as it was meant.
  const odd = event('odd\u0000id', 2, { objectRef: { resource: 'pods\u0000', subresource: '\ud800' } })

  assert.deepEqual(await told(post(name, token, list(event('seen', 2), odd))), { kept: 2, repeated: 0, refused: 0 })
  assert.deepEqual(await told(post(name, token, list(odd))), { kept: 0, repeated: 1, refused: 0 })

  await found.ada.ask(retireSource, { params: { source: name } })
})
