import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { SECRET_VALUE, TOKEN, type Stub } from './api-server.fixture.ts'
import type { ScopeReport } from '../connector.ts'
import { kubernetesConnector } from './connector.ts'
import { reading, stubbed } from './shop.fixture.ts'

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await stubbed(t)
  const whole = ['namespaces', 'service-accounts', 'rbac/roles', 'rbac/bindings', 'secrets', 'workloads', 'pods']
  return {
    connector: kubernetesConnector,
    settings: { url: stub.url },
    credential: { token: TOKEN },
    whole,
    secrets: [SECRET_VALUE, TOKEN],
    async lose() {
      stub.things.set(
        'clusterroles',
        (stub.things.get('clusterroles') ?? []).filter(({ metadata }) => metadata.name !== 'edit'),
      )
      return 'rbac/roles'
    },
    async deny() {
      stub.denied.add('secrets')
      return ['secrets']
    },
    async plant() {
      // Labels cannot hold these; annotations and names of a hostile API server can.
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      for (const name of names)
        stub.put('serviceaccounts', {
          metadata: { name: `hostile ${name}`, namespace: 'shop', labels: { [name]: name } },
        })
      return { table: 'observed_principal', count: names.length, like: 'shop/hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed(t)))
}
// The API server leaves out what is empty, and writes an empty list as null.
const SAYS = [
  /^(?:items|rows)$/,
  /\.(?:subjects|rules|apiGroups|resources|nonResourceURLs|secrets|imagePullSecrets|ownerReferences|labels|annotations|aggregationRule)\b/,
  /\.spec\b/,
]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

test('roles are told with what they may do, and which of them widen themselves, act as others or flow together', async (t) => {
  const { of } = await reading(await stubbed(t))
  const grants = of('grant').map(
    ({ principal, on, privilege, level }) => `${principal.id} ${on.id} ${privilege} ${level}`,
  )

  for (const grant of [
    'cr-admin */* * admin',
    'cr-widen rbac.authorization.k8s.io/clusterroles bind,escalate grant',
    'cr-widen core/users impersonate impersonate',
    'cr-widen core/serviceaccounts/token create impersonate',
    'r-read core/secrets get,list read',
    'cr-edit cr-widen AGGREGATES use',
    'sa-cart cr-admin BOUND ClusterRole use',
    'ann cr-admin BOUND ClusterRole use',
    'shop/nobody cr-admin BOUND ClusterRole use',
    'system:serviceaccounts:shop r-read BOUND Role use',
    'sa-cart system:serviceaccounts:shop MEMBER use',
  ])
    assert.ok(grants.includes(grant), `${grant} is not in\n${grants.join('\n')}`)
  const tiers = Object.fromEntries(
    of('resource').map(({ name, sensitivity }) => [name, sensitivity.known && sensitivity.value]),
  )
  assert.deepEqual([tiers['core/secrets'], tiers['*/*']], [0, 0])
})

test('a secret is told by type, age and writing, a token in one as without end, and never what it holds', async (t) => {
  const stub = await stubbed(t)
  const { of, told } = await reading(stub)
  const [db, token] = ['sec-db', 'sec-token'].map((id) => of('credential').find((each) => each.id.id === id))

  assert.deepEqual(db?.rotatedAt, { known: true, value: new Date('2026-01-02T03:04:05Z') })
  assert.deepEqual([db?.strength, db?.facts?.['isCopiedInAnnotation']], [{ known: true, value: 'weak' }, true])
  assert.equal(db?.facts?.['tag:example.com/owner'], 'payments')
  assert.deepEqual(
    [token?.type, token?.expiresAt, token?.principal],
    [
      'service-account-token',
      { known: true, value: 'never' },
      { known: true, value: { kind: 'service-account', id: 'sa-cart' } },
    ],
  )
  assert.ok(!JSON.stringify(told).includes(SECRET_VALUE))
  const forSecrets = stub.asked.filter((line) => /\/secrets\?/.test(line))
  assert.ok(forSecrets.length > 0)
  for (const line of forSecrets) assert.match(line, /as=(Table|PartialObjectMetadataList);/)
  for (const line of forSecrets.filter((each) => each.includes('as=Table')))
    assert.match(line, /includeObject=Metadata/)
})

test('each way in which a secret is mounted is told, of definitions and of what runs, pods as their deployment', async (t) => {
  const { of } = await reading(await stubbed(t))
  const uses = of('reference')
    .filter(({ consumer }) => consumer.id === 'dep-cart')
    .map(
      ({ credential, facts, evidence }) =>
        `${'id' in credential ? credential.id.split('/')[0] : ''} ${String(facts?.['mount'])} ${evidence}`,
    )

  assert.deepEqual(uses.toSorted(), [
    'pods projected runtime',
    'sec-db csi static',
    'sec-db env runtime',
    'sec-db env static',
    'sec-db projected static',
    'sec-pull imagePullSecrets static',
    'sec-tls volume static',
  ])
  const bound = of('credential').filter(({ facts }) => facts?.['tokenKind'] === 'bound')
  assert.deepEqual(
    bound.map(({ facts }) => facts?.['seconds']),
    [3607],
  )
  const runsAs = of('trust').map(({ from, to }) => `${'id' in from ? from.id : ''} ${to.id}`)
  assert.deepEqual([...new Set(runsAs)].toSorted(), ['cj-1 sa-default', 'dep-cart sa-cart', 'pod-9 sa-default'])
})

test('a place that expired in mid-list goes on where the server says, and a server that always forgets is not read', async (t) => {
  const stub = await stubbed(t)
  for (let at = 0; at < 20; at += 1)
    stub.put('serviceaccounts', { metadata: { name: `more-${at}`, namespace: 'shop' } })
  let expired = 0
  stub.intercept = ({ url = '' }, response) => {
    if (expired >= 1 || !/\/serviceaccounts\?.*continue=6/.test(url)) return false
    expired += 1
    response.writeHead(410).end(JSON.stringify({ kind: 'Status', code: 410, metadata: { continue: '6' } }))
    return true
  }
  const accounts = (await reading(stub)).of('principal').filter(({ type }) => type === 'service')
  assert.deepEqual([expired, accounts.length], [1, 22])

  stub.intercept = ({ url = '' }, response) => {
    if (!/continue=/.test(url)) return false
    response.writeHead(410).end('{}')
    return true
  }
  const { reports } = await reading(stub)
  const failed = reports.get('service-accounts')
  assert.ok(failed instanceof Error && failed.name === 'Unreadable')
})

test('attack: a server that goes round in circles, tells without end, floods or answers nonsense is cut off and not believed', async (t) => {
  const stub = await stubbed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(kubernetesConnector, { url: stub.url }, { credential: { token: TOKEN } })
  await i.collect(id)
  const before = await i.snapshot()
  const attacks: Record<string, Stub['intercept']> = {
    circle: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.end(JSON.stringify({ metadata: { continue: 'again' }, items: stub.things.get('clusterroles') }))
      return true
    },
    giant: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.end(
        JSON.stringify({ metadata: {}, items: [{ metadata: { name: 'x'.repeat(10_000_000), uid: 'giant' } }] }),
      )
      return true
    },
    storm: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.writeHead(429, { 'retry-after': '300' }).end()
      return true
    },
    nonsense: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.end('{"items":[{"metadata":{"name":3}},null,7],"metadata":{}}')
      return true
    },
    cut: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"items":[')
      response.destroy()
      return true
    },
    html: ({ url = '' }, response) => {
      if (!/\/clusterroles\?/.test(url)) return false
      response.end('<html>log in</html>')
      return true
    },
  }
  for (const [name, intercept] of Object.entries(attacks)) {
    stub.intercept = intercept
    const { scopes } = await i.collect(id)
    const roles = scopes.find(({ scope }) => scope === 'rbac/roles')

    assert.equal(roles?.status, 'partial', name)
    assert.ok((roles?.missing.length ?? 0) > 0, name)
    const gone = (await i.snapshot()).filter((row) => !before.includes(row))
    assert.ok(!gone.some((row) => /cr-admin/.test(row) && /missed/.test(row)), name)
  }
  assert.equal(await i.count('observed_principal', `type = 'role' and missed_at is not null`), 0)
  assert.ok(i.waits.some((ms) => ms === 300_000))
})

test('a right that goes in mid-list is denied by its name, and the token that ends as well', async (t) => {
  const stub = await stubbed(t)
  for (let at = 0; at < 9; at += 1) stub.put('serviceaccounts', { metadata: { name: `more-${at}`, namespace: 'shop' } })
  for (const [status, permission] of [
    [403, 'list serviceaccounts'],
    [401, 'a token that has not expired'],
  ] as const) {
    stub.intercept = ({ url = '' }, response) => {
      if (!/\/serviceaccounts\?.*continue=/.test(url)) return false
      response.writeHead(status).end('{}')
      return true
    }
    const denied = (await reading(stub)).reports.get('service-accounts')
    assert.ok(denied instanceof Error && denied.name === 'Denied')
    const { missing } = denied as Error & { missing: { permission: string } }
    assert.equal(missing.permission, permission)
  }
})

/** Refuses what a pattern matches, as RBAC does. */
const refusing =
  (pattern: RegExp): Stub['intercept'] =>
  ({ url = '' }, response) => {
    if (!pattern.test(url)) return false
    response.writeHead(403).end('{}')
    return true
  }
const said = (report: ScopeReport | Error | undefined) =>
  report instanceof Error || report === undefined
    ? [String(report)]
    : [report.status, ...report.missing.map(({ what, permission }) => `${what} <- ${permission ?? ''}`)]

test('a login that may see its namespaces alone asks there: the rest is named, and what it may not list is said with the verb', async (t) => {
  const stub = await stubbed(t)
  stub.put('serviceaccounts', { metadata: { name: 'other', namespace: 'elsewhere' } })
  stub.denied.add('clusterroles')
  const { of, probed, reports } = await reading(stub, { namespaces: ['shop'] })

  assert.ok(!of('principal').some(({ name }) => name.startsWith('elsewhere/')))
  assert.ok(of('principal').some(({ facts }) => facts?.['roleKind'] === 'Role'))
  const roles = probed.scopes.find(({ scope }) => scope === 'rbac/roles')
  assert.deepEqual(
    [roles?.isVisible, roles?.missing.map(({ permission }) => permission)],
    [true, ['list clusterroles in rbac.authorization.k8s.io']],
  )
  assert.deepEqual(said(reports.get('rbac/roles')), [
    'partial',
    'clusterroles <- list clusterroles in rbac.authorization.k8s.io',
    'roles of other namespaces <- ',
  ])
  assert.deepEqual(said(reports.get('service-accounts')), ['complete', 'serviceaccounts of other namespaces <- '])
})

test('where a whole list is refused the namespaces are asked one by one, and those that refuse it too are named', async (t) => {
  const stub = await stubbed(t)
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) stub.put('namespaces', { metadata: { name } })
  stub.put('secrets', { metadata: { name: 'sealed', namespace: 'a', uid: 'sec-a' }, type: 'Opaque' })
  stub.intercept = refusing(
    /\/api\/v1\/(?:namespaces\/(?!shop)[a-z-]+\/)?secrets\?|\/apis\/apps\/v1\/deployments\?|\/cronjobs\?/,
  )
  const { of, reports } = await reading(stub)
  const secrets = of('credential').filter(({ id }) => id.kind === 'secret')
  const names = secrets.map(({ name }) => name)

  assert.ok(names.includes('shop/db') && !names.includes('a/sealed'), names.join())
  assert.deepEqual(said(reports.get('secrets')), [
    'partial',
    'secrets of the namespaces a, b, c, d, e and 3 more <- list secrets',
  ])
  // Deployments can be seen everywhere, one namespace after the other; of cron jobs nothing can.
  assert.deepEqual(said(reports.get('workloads')), ['partial', 'cronjobs <- list cronjobs in batch'])
  assert.ok(of('reference').some(({ consumer, evidence }) => consumer.id === 'dep-cart' && evidence === 'static'))
  assert.deepEqual(said(reports.get('service-accounts')), ['complete'])
  // What is named and may not be seen is referred to by its name, and nothing else is lost by it.
  assert.ok(of('reference').some(({ credential }) => 'id' in credential && credential.id === 'sec-db'))
})

test('attack: a hole is not forgotten where a reading goes on, and refusals are not asked for without end', async (t) => {
  const stub = await stubbed(t)
  stub.denied.add('deployments')
  const cursors: (string | undefined)[] = []
  const { source } = await reading(stub, {}, {}, (scope, { cursor }) => {
    if (scope === 'workloads') cursors.push(cursor)
  })
  assert.ok(source && cursors.length > 0 && cursors.every((cursor) => cursor === undefined))

  for (let at = 0; at < 1_500; at += 1) stub.put('namespaces', { metadata: { name: `n${at}` } })
  stub.pageSize = 500
  stub.denied.add('pods')
  const { reports } = await reading(stub)
  assert.deepEqual(said(reports.get('pods')), ['denied', 'pods <- list pods'])
  assert.ok(stub.asked.filter((line) => /\/namespaces\/[^/]+\/pods\?/.test(line)).length <= 1_000)
})

test('a login that may list no namespaces is shown those that the settings name, and the rest is said', async (t) => {
  const stub = await stubbed(t)
  stub.intercept = refusing(/\/api\/v1\/namespaces\?/)
  const { of, reports } = await reading(stub, { namespaces: ['shop', 'kube-system'] })
  const none = await reading(stub)

  assert.deepEqual(
    of('resource').flatMap(({ type, name }) => (type === 'kubernetes-namespace' ? [name] : [])),
    ['shop', 'kube-system'],
  )
  assert.deepEqual(said(reports.get('namespaces')), ['partial', 'namespaces <- list namespaces'])
  assert.deepEqual(said(none.reports.get('namespaces')), ['denied', 'namespaces <- list namespaces'])
  assert.deepEqual(said(none.reports.get('service-accounts')), ['complete'])
})
