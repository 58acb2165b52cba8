import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { FindingQuery } from '../../governance/findings/contract.ts'
import { evaluateFindings } from '../../governance/findings/evaluate.ts'
import { listFindings } from '../../governance/findings/lists.ts'
import { PathQuery } from '../../governance/graph/contract.ts'
import { lookAtGraph } from '../../governance/graph/look.ts'
import { listPaths, readPath } from '../../governance/graph/paths.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { gcpConnector } from './connector.ts'
import { gcpStub, LOGIN, POLICIES, PRIVATE_KEY, RESOURCES, STRING, type GcpStub } from './gcp.fixture.ts'

const WHOLE = ['hierarchy', 'service-accounts', 'keys', 'api-keys', 'federation', 'policies', 'activity']
const settingsOf = ({ assets, activity }: GcpStub, more: object = {}) => ({
  parent: 'organizations/9',
  assetsFrom: assets,
  activityFrom: activity,
  ...more,
})

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await gcpStub(t)
  return {
    connector: gcpConnector,
    settings: settingsOf(stub),
    credential: LOGIN,
    whole: WHOLE,
    secrets: [STRING, PRIVATE_KEY, PRIVATE_KEY.split('\n')[3] ?? assert.fail()],
    async lose() {
      stub.resources = stub.resources.filter(({ name }) => !String(name).endsWith('/keys/aaaa'))
      return 'keys'
    },
    async deny() {
      stub.refused.set('contentType=IAM_POLICY', { status: 403 })
      return ['policies']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      const [like = {}] = RESOURCES.filter(({ assetType }) => assetType === 'iam.googleapis.com/ServiceAccount')
      for (const [at, name] of names.entries())
        stub.resources.push({
          ...like,
          name: `//iam.googleapis.com/projects/acme-shop/serviceAccounts/900${at}`,
          resource: { data: { uniqueId: `900${at}`, email: `hostile ${name}` } },
        })
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over fixtures: ${story}`, async (t) => run(t, await bed(t)))
}
// Protocol Buffers in JSON leave out what is empty.
const SAYS = [
  /^(?:assets|activities|nextPageToken)$/,
  /iamPolicy/,
  /resource(?:\.data(?:\.includedPermissions)?)?$/,
  /ancestors/,
]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

async function world(t: TestContext, more: object = {}) {
  const stub = await gcpStub(t)
  const i = await inventoryWorld(t)
  const id = await i.source(gcpConnector, settingsOf(stub, more), { credential: LOGIN })
  const read = async (scope: string) => (await i.collect(id)).scopes.find((each) => each.scope === scope)
  return { stub, i, id, read }
}

test('an organization is told: accounts, keys, who may what, who acts as whom, whom it believes, last uses', async (t) => {
  const { i, id, stub } = await world(t, { activitySeesAll: true })
  const { scopes } = await i.collect(id)
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(table)).join('\n')}`,
    )

  assert.deepEqual(
    scopes.map(({ scope, status, missing }) => [scope, status, ...missing.map(({ what }) => what)]),
    WHOLE.map((scope) => [scope, 'complete']),
  )
  has('observed_resource', 'cloud-account', 'acme.example')
  has('observed_resource', 'gcp-project', 'acme-shop', 'production', 'payments')
  has('observed_principal', 'service-account,1003', 'disabled')
  has('observed_credential', 'aaaa', 'key-id:aaaa', 'key-pair', '2023-01-01')
  has('observed_credential', 'cccc', 'inactive', 'EXPOSED')
  has('observed_credential', 'dddd', 'expired', '1024 bits')
  has('observed_credential', 'maps', 'api-key', 'taken from everywhere')
  has('observed_credential', 'backend', '{ip}', 'strong')
  has('observed_grant', 'roles/owner (*)', 'admin')
  has('observed_grant', 'acts-as', 'roles/iam.serviceAccountTokenCreator', 'impersonate')
  has('observed_grant', 'acts-as', 'organizations/9/roles/quiet')
  has('observed_grant', 'roles/browser', '2030-01-01', 'for a while')
  has('observed_principal', 'foreign-service-account', 'sync@vendor-prod')
  has('observed_credential', 'foreign-login', 'third-party', 'vendor-prod')
  has('observed_principal', 'service-agent', '111@cloudservices')
  has('observed_principal', 'kubernetes-workload', 'front')
  has('observed_principal', 'everyone', 'allUsers', 'everybody')
  has('observed_trust', 'pool-provider', 'token.actions.githubusercontent.com', ',t,', 'providers/open')
  has('observed_trust', 'pool-provider', 'https://ci.example', 'job:ship', 'acme/shop', ',f,')
  // One that can hold in another way asks for nothing by name.
  has('observed_trust', 'https://tricked.example', 'condition', '|| true')
  has('observed_trust', 'pool-member', 'subject/job:ship', ',f,')
  has('observed_usage', '2026-03-30')
  assert.equal(await i.count('observed_credential', `native_id like '%bbbb%'`), 0, 'a key of Google’s own')
  assert.equal(await i.count('observed_trust', `issuer = 'https://off.example'`), 0)
  assert.equal(await i.count('observed_principal', `native_kind = 'user' and name = 'ann@acme.example'`), 1)
  assert.equal(await i.count('usage_window', 'subject_id is not null'), 3)
  // Each API got tokens for itself alone, and nobody was asked at the address that stands in the file of the key.
  assert.ok(stub.asked.some((each) => each.startsWith('policyanalyzer ')))
})

test('the rules find what is open, and the ways to the organization', async (t) => {
  const { i, id } = await world(t)
  await i.collect(id)
  const signal = new AbortController().signal
  await lookAtGraph({ clock: i.w.clock, connection: i.w.database.server }, signal)
  await evaluateFindings(i.w.db, i.w.needs, signal)
  const { items } = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ limit: 200 }))
  const found = items.map(
    ({ rule, severity, evidence, subject }) => `${rule} ${severity} ${subject.name} ${evidence.join('; ')}`,
  )
  const has = (...parts: string[]) =>
    assert.ok(
      found.some((each) => parts.every((part) => each.includes(part))),
      `${parts.join(' ')}\n${found.join('\n')}`,
    )

  has('loose-federation high', 'token.actions.githubusercontent.com', 'more than one named subject', 'provider open')
  has('vendor-held medium', 'sync@vendor-prod', 'no identity of the record acts for vendor-prod')
  has('long-lived high', 'deployer', 'never expires')
  has('weak-authentication high maps', 'from everywhere')
  has('wildcard-right high', 'roles/owner (*)', 'ruler')
  has('wildcard-right medium', 'roles/editor (*)', 'deployer')
  assert.ok(!found.some((each) => /loose-federation/.test(each) && /provider (?:tight|off)/.test(each)), 'well set up')
  assert.ok(!found.some((each) => /long-lived/.test(each) && /cccc|dddd/.test(each)), 'what does not work any more')

  const { items: paths } = await listPaths(i.w.db, i.w.clock, PathQuery.parse({ limit: 200 }))
  const hops = new Map(paths.map(({ from, hops: n }) => [from.name, n]))
  const ruler = 'ruler@acme-shop.iam.gserviceaccount.com'
  assert.equal(hops.get(ruler), 1)
  // The reporter makes tokens of any account of the project, and one of those rules the organization.
  assert.equal(hops.get('reporter@acme-shop.iam.gserviceaccount.com'), 3)
  assert.equal(hops.get('bob@acme.example'), 2)
  assert.ok(!hops.has('sync@vendor-prod.iam.gserviceaccount.com'), 'an administrator of storage rules no organization')
  const repository = paths.find(({ from }) => from.name?.endsWith('attribute.repository/acme/shop'))
  const way = await readPath(i.w.db, i.w.clock, repository?.from.id ?? assert.fail())
  assert.match(JSON.stringify(way), /ruler@acme-shop/)
})

test('files of an export tell what the API tells, and say what they lack', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gcp-export-'))
  t.after(() => rm(folder, { recursive: true }))
  const snake = ({ assetType, iamPolicy, ...rest }: Record<string, unknown>) =>
    JSON.stringify({ ...rest, asset_type: assetType, ...(iamPolicy !== undefined && { iam_policy: iamPolicy }) })
  const { i, id } = await world(t)
  await i.collect(id)
  const grants = await i.count('observed_grant')
  // In an inventory of its own: one system is read by one source.
  const own = await inventoryWorld(t)
  await writeFile(join(folder, 'resources.json'), RESOURCES.map(snake).join('\n'))
  const settings = { parent: 'organizations/9', exportFolder: folder }
  const file = await own.source(gcpConnector, settings, { credential: {} })
  const without = await own.collect(file)
  await writeFile(join(folder, 'policies.ndjson'), `${POLICIES.map(snake).join('\n')}\n`)
  const whole = await own.collect(file)
  const known = await own.count('observed_grant')
  await writeFile(join(folder, 'policies.ndjson'), POLICIES.map(snake).join('\n').slice(0, -9))
  const cut = await own.collect(file)
  const of = ({ scopes }: typeof whole, scope: string) => scopes.find((each) => each.scope === scope)

  assert.match(of(without, 'policies')?.missing[0]?.permission ?? '', /--content-type=iam-policy/)
  assert.deepEqual([of(without, 'policies')?.status, of(without, 'keys')?.status], ['denied', 'complete'])
  assert.equal(of(whole, 'activity')?.status, 'unsupported')
  assert.deepEqual([of(whole, 'policies')?.status, known], ['complete', grants])
  assert.match(cut.problem ?? '', /not JSON, or is cut off/)
  assert.equal(await own.count('observed_grant', 'missed_at is null'), grants)
})

test('what Google refuses is said with what would help; a limit of pace is waited for; a list that leads back is left', async (t) => {
  const { i, stub, read } = await world(t)
  stub.refused.set('policyanalyzer', { status: 403 })
  stub.refused.set('activities:query', { status: 403, reason: 'SERVICE_DISABLED' })
  assert.match((await read('activity'))?.missing[0]?.permission ?? '', /policyanalyzer.googleapis.com enabled/)
  stub.refused.set('activities:query', { status: 403 })
  assert.match(
    (await read('activity'))?.missing[0]?.permission ?? '',
    /serviceAccountLastAuthenticationActivities.query/,
  )

  let refused = 0
  stub.intercept = ({ url = '' }, response) => {
    if (!url.includes('ServiceAccountKey') || refused > 0) return false
    refused += 1
    response.writeHead(429, { 'retry-after': '30' }).end('{}')
    return true
  }
  assert.equal((await read('keys'))?.status, 'complete')
  assert.ok(i.waits.includes(30_000))

  stub.intercept = ({ url = '' }, response) => {
    if (!url.includes('ServiceAccountKey')) return false
    response.end(JSON.stringify({ assets: [], nextPageToken: 'round' }))
    return true
  }
  const round = await read('keys')
  assert.equal(round?.status, 'partial')
  assert.match(round?.missing[0]?.why ?? '', /leads back/)
  assert.equal(await i.count('observed_credential', `type = 'key-pair' and missed_at is not null`), 0)

  for (const [body, why] of [
    ['<html>', /not JSON/],
    ['{"assets":{}}', /another way than its API/],
    ['{"assets":[{"name":7}]}', /another way than its API/],
  ] as const) {
    stub.intercept = ({ url = '' }, response) => {
      if (!url.includes('ServiceAccountKey')) return false
      response.end(body)
      return true
    }
    assert.match((await read('keys'))?.missing[0]?.why ?? '', why)
  }
})

test('what was not understood is not forgotten where a reading is cut and goes on', async (t) => {
  const { stub, read } = await world(t)
  const strange = (name: string, like: string) => {
    const [of] = RESOURCES.filter(({ assetType }) => assetType === like)
    return { ...of, name, resource: { data: { oidc: 7 } } }
  }
  stub.pageSize = 1
  stub.resources = [
    strange('//iam.googleapis.com/projects/p/serviceAccounts/none/keys/k', 'iam.googleapis.com/ServiceAccountKey'),
    strange('//iam.googleapis.com/x/providers/p', 'iam.googleapis.com/WorkloadIdentityPoolProvider'),
    ...RESOURCES,
  ]
  for (const [scope, type] of [
    ['keys', 'ServiceAccountKey'],
    ['federation', 'WorkloadIdentityPoolProvider'],
  ] as const) {
    let slowed = 0
    stub.intercept = ({ url = '' }, response) => {
      if (!url.includes(type) || !url.includes('pageToken=3') || slowed > 0) return false
      slowed += 1
      response.writeHead(429, { 'retry-after': '1' }).end('{}')
      return true
    }
    const report = await read(scope)
    assert.deepEqual([report?.status, slowed], ['partial', 1], scope)
    assert.match(report?.missing[0]?.what ?? '', /^1 /)
  }
})

test('pages that have nothing to tell are no circle, however many of them come in a row', async (t) => {
  const { stub, i, read } = await world(t)
  const [key] = RESOURCES.filter(({ name }) => String(name).endsWith('/keys/bbbb'))
  stub.pageSize = 1
  stub.resources = [...Array.from({ length: 30 }, () => ({ ...key })), ...RESOURCES]
  stub.policies = [...Array.from({ length: 30 }, () => ({ ...POLICIES[1], iamPolicy: { bindings: [] } })), ...POLICIES]
  assert.equal((await read('keys'))?.status, 'complete')
  assert.equal((await read('policies'))?.status, 'complete')
  assert.equal(await i.count('observed_credential', `type = 'key-pair'`), 3)
})

test('a project is known by its number: another under the same name is another, and what is inherited is said to be unseen', async (t) => {
  const stub = await gcpStub(t)
  const i = await inventoryWorld(t)
  const id = await i.source(gcpConnector, settingsOf(stub, { parent: 'projects/acme-shop' }), { credential: LOGIN })
  const first = await i.collect(id)
  const policies = first.scopes.find(({ scope }) => scope === 'policies')
  const before = await i.count('observed_principal', 'missed_at is null')
  stub.resources = RESOURCES.map((asset) =>
    JSON.parse(JSON.stringify(asset).replaceAll('projects/111', 'projects/1112')),
  )
  const { problem, scopes } = await i.collect(id)

  assert.match(problem ?? '', /another system/)
  assert.deepEqual(scopes, [])
  assert.equal(policies?.status, 'complete')
  assert.match(policies?.missing[0]?.what ?? '', /inherited/)
  // Of one project it cannot be said whose an account of another is.
  assert.equal(await i.count('observed_credential', `native_kind = 'foreign-login' and held_by is null`), 1)
  assert.equal(await i.count('observed_principal', 'missed_at is null'), before)
})
