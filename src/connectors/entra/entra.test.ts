import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { FindingQuery } from '../../governance/findings/contract.ts'
import { evaluateFindings } from '../../governance/findings/evaluate.ts'
import { listFindings } from '../../governance/findings/lists.ts'
import { PathQuery } from '../../governance/graph/contract.ts'
import { lookAtGraph } from '../../governance/graph/look.ts'
import { listPaths } from '../../governance/graph/paths.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { SUBSCRIPTION } from './shapes.fixture.ts'
import { entraConnector } from './connector.ts'
import { BY_CERTIFICATE, BY_SECRET, changes, entraStub, SECRET, TENANT, type EntraStub } from './entra.fixture.ts'

const WHOLE = [
  'tenant',
  'applications',
  'federation',
  'service-principals',
  'consents',
  'permissions',
  'owners',
  'roles',
  'role-schedules',
  'groups',
  'users',
  'activity',
  'audits',
  'azure',
  `azure/${SUBSCRIPTION}`,
]
const settingsOf = ({ graph, login, azure }: EntraStub) => ({
  tenant: TENANT,
  graphFrom: graph,
  loginFrom: login,
  azureFrom: azure,
})

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await entraStub(t)
  const list = (path: string) => {
    const found = stub.lists.get(path)
    return Array.isArray(found) ? found : assert.fail(path)
  }
  return {
    connector: entraConnector,
    settings: settingsOf(stub),
    credential: BY_CERTIFICATE,
    whole: WHOLE,
    secrets: [SECRET, 'token-of-the-stub', BY_CERTIFICATE.privateKey.split('\n')[3] ?? assert.fail()],
    async lose() {
      stub.lists.set('/v1.0/applications', list('/v1.0/applications').slice(1))
      return 'applications'
    },
    async deny() {
      stub.refused.set('/v1.0/roleManagement', { status: 403 })
      stub.refused.set('/beta/reports', { status: 403 })
      return ['roles', 'activity']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      for (const [at, name] of names.entries())
        list('/v1.0/applications').push({ id: `o${at}`, appId: `hostile-${at}`, displayName: `hostile ${name}` })
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over fixtures: ${story}`, async (t) => run(t, await bed(t)))
}
// A consent without scopes lets in to nothing.
const SAYS = [/^value\[\]\.scope$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

async function world(t: TestContext, credential: Record<string, string> = BY_SECRET) {
  const stub = await entraStub(t)
  const i = await inventoryWorld(t)
  const id = await i.source(entraConnector, settingsOf(stub), { credential })
  const read = async (scope: string) => (await i.collect(id)).scopes.find((each) => each.scope === scope)
  return { stub, i, id, read }
}

test('a tenant is told: logins with their ends, whose applications, consents, permissions, owners, roles, last uses', async (t) => {
  const { i, id, stub } = await world(t)
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
  has('observed_resource', 'directory', 'Acme', 'acme.example')
  has('observed_principal', 'app-billing', 'app', 'of the payments team')
  has('observed_credential', 'billing: old', 'client-secret', '2299-12-30', 'Xy7')
  has('observed_credential', 'billing: over', 'expired')
  has('observed_credential', 'certificate', 'x5t:AA11BB22CC33DD44EE55FF66AA77BB88CC99DD00', '2026-12-01')
  has('observed_trust', 'application-federation', 'refs/heads/main', ',f,')
  has('observed_trust', 'application-federation', 'federated credential loose', ',t,')
  has('observed_trust', 'application-of', 'service principal billing')
  has('observed_trust', 'foreign-application', 'tenant 22222222')
  has('observed_principal', 'service-principal', 'Acme Notes', 'Notes Inc', 'app')
  has('observed_principal', 'sp-function', 'workload', 'Microsoft.Web/sites/ship')
  has('observed_credential', 'consent for everybody to Acme Notes at Microsoft Graph', 'third-party', 'Mail.Read')
  has('observed_credential', 'consent to Free PDF', 'inactive', 'Files.ReadWrite.All')
  has('observed_grant', 'delegated-permission', 'Files.ReadWrite.All', 'write')
  has('observed_grant', 'application-permission', 'RoleManagement.ReadWrite.Directory', 'admin')
  has('observed_grant', 'application-permission', 'Mail.Read', 'read')
  has('observed_grant', 'rules-tenant', 'Application Administrator', 'admin')
  has('observed_grant', 'rules-tenant', 'Login keeper', 'admin')
  has('observed_grant', 'role-eligibility', 'MEMBER (eligible)', '2031-01-01')
  has('observed_grant', 'role-activation', 'MEMBER (on for a time)', '2030-01-01')
  assert.equal(
    await i.count('observed_grant', `native_kind = 'role-activation'`),
    1,
    'what has no end stands among the roles',
  )
  has('observed_resource', 'Shop production', 'cloud-account')
  has('observed_grant', 'azure-role', 'Owner', 'admin')
  has('observed_grant', 'azure-role', 'Contributor', 'write')
  has('observed_grant', 'azure-role', 'Split', 'admin')
  has('observed_grant', 'azure-role', 'Reader', 'read')
  has('observed_resource', 'azure-resource-group', 'resourceGroups/Shop')
  has('observed_grant', 'owner', 'application/app-shipper/user/user-eve')
  has('observed_usage', 'app-only', '2026-03-01')
  assert.equal(await i.count('observed_grant', `native_kind = 'rules-tenant'`), 2, 'readers rule nothing')
  assert.equal(await i.count('observed_trust', `issuer = 'https://ci.example'`), 21, 'more than an expanded list has')
  assert.equal(
    await i.count('observed_credential', `native_id like '%azure'`),
    0,
    'a certificate that Azure turns over',
  )
  assert.equal(await i.count('observed_usage', 'privilege is null'), 1)
  has('observed_usage', 'Add owner to application', 'api-call')
  // One certificate at an application and at a service principal is one.
  assert.equal(
    await i.count('observed_credential', `'key-id:x5t:AA11BB22CC33DD44EE55FF66AA77BB88CC99DD00' = any (fingerprints)`),
    2,
  )
  assert.equal(stub.logins, 1, 'a token is used as long as it lives')
  assert.ok(!stub.came.graph.includes('for-azure') && !/stub-1\b/.test(stub.came.azure), 'each gets its own token')
  assert.ok(stub.came.login.includes(SECRET))
  assert.ok(!stub.came.graph.includes(SECRET) && !stub.came.login.includes('token-of-the-stub'), 'each gets its own')
})

test('the rules find what is open, and every way to tier 0 through applications, roles, groups and owners', async (t) => {
  const { i, id } = await world(t, BY_CERTIFICATE)
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

  has('vendor-held medium', 'Acme Notes', 'no identity of the record acts for notes inc')
  has('lasting-grant medium', 'notes inc holds it')
  has('loose-federation high', 'federated credential loose', 'asks for no `sub`')
  has('long-lived high billing: old', 'expires on 2299-12-30')
  assert.ok(!found.some((each) => /loose-federation/.test(each) && /credential main/.test(each)), 'well set up')
  assert.ok(!found.some((each) => /billing: over|Free PDF/.test(each)), 'what does not work any more')

  const { items: paths } = await listPaths(i.w.db, i.w.clock, PathQuery.parse({ limit: 200 }))
  const hops = new Map(paths.map(({ from, hops: n }) => [`${from.type} ${from.name}`, n]))
  assert.equal(hops.get('service shipper'), 1, 'by an application permission')
  assert.equal(hops.get('app shipper'), 2, 'who is the application is its service principal')
  assert.equal(hops.get('role Application Administrator'), 1)
  assert.equal(hops.get('account ann@acme.example'), 3, 'by a group that has the role')
  assert.equal(hops.get('account eve@acme.example'), 3, 'by owning the application, or the group')
  assert.equal(hops.get('service billing'), 2, 'by a role of the company’s own that sets logins')
  assert.equal(hops.get('workload function'), 1, 'by owning a subscription of production')
  assert.equal(hops.get('account zoe@acme.example'), 2, 'by a role that can be switched on')
  for (const none of ['app Acme Notes'])
    assert.ok(!hops.has(none), `${none}: a role over one application, or one that reads, is no way`)
})

test('attack: a list that leads to another host, or back to itself, is not followed, and no token goes there', async (t) => {
  const { i, id, stub, read } = await world(t)
  await i.collect(id)
  const elsewhere = await entraStub(t)
  const known = await i.count('observed_principal', 'missed_at is null')
  const links = [
    `${elsewhere.graph}/v1.0/users?$skiptoken=1`,
    `//${new URL(elsewhere.graph).host}/v1.0/users`,
    stub.graph.replace('//', '//graph.microsoft.com@').replace(/:\d+$/, ':1/v1.0/users'),
    `${stub.graph}/../admin`,
    'javascript:alert(1)',
  ]
  for (const link of links) {
    stub.intercept = ({ url = '' }, response) => {
      if (!url.startsWith('/v1.0/users')) return false
      response.end(JSON.stringify({ value: [], '@odata.nextLink': link }))
      return true
    }
    const users = await read('users')
    assert.equal(users?.status, 'partial', link)
    assert.match(users?.missing[0]?.why ?? '', /leads away/, link)
  }
  assert.equal(elsewhere.came.graph, '')
  stub.intercept = ({ url = '' }, response) => {
    if (!url.startsWith('/v1.0/users')) return false
    response.end(JSON.stringify({ value: [], '@odata.nextLink': `${stub.graph}/v1.0/users?$skiptoken=round` }))
    return true
  }
  assert.match((await read('users'))?.missing[0]?.why ?? '', /leads back/)
  assert.equal(await i.count('observed_principal', 'missed_at is null'), known)
})

test('what Graph refuses is said with the permission, a limit of pace is waited for, a page that ran out is begun again', async (t) => {
  const { i, stub, read } = await world(t)
  stub.refused.set('/beta/reports', { status: 403, code: 'Authentication_RequestFromNonPremiumTenantOrB2CTenant' })
  stub.refused.set('/v1.0/oauth2PermissionGrants', { status: 403 })
  const activity = await read('activity')
  assert.deepEqual([activity?.status, activity?.missing[0]?.permission], ['denied', 'Microsoft Entra ID P1'])
  assert.equal((await read('consents'))?.missing[0]?.permission, 'Directory.Read.All (application permission)')
  stub.refused.clear()

  let at = 0
  stub.intercept = ({ url = '' }, response) => {
    if (!/^\/v1\.0\/applications\?.*skiptoken/.test(url) || at > 1) return false
    at += 1
    if (at === 1) response.writeHead(429, { 'retry-after': '17' }).end('{}')
    else response.writeHead(400).end(JSON.stringify({ error: { code: 'Directory_ExpiredPageToken' } }))
    return true
  }
  const applications = await read('applications')
  assert.deepEqual([applications?.status, at], ['complete', 2])
  assert.ok(i.waits.includes(17_000), i.waits.join(' '))

  // A list that is not there is no empty one: nothing of it is taken for gone.
  const users = async () => i.count('observed_principal', `native_kind = 'user' and missed_at is null`)
  const before = await users()
  stub.refused.set('/v1.0/users', { status: 404, code: 'Request_ResourceNotFound' })
  assert.match((await read('users'))?.missing[0]?.why ?? '', /no such list/)
  assert.deepEqual([before, await users()], [3, 3])
  stub.refused.clear()

  for (const [body, why] of [
    ['<html>', /not JSON/],
    ['{"value":{}}', /another way than its reference/],
    ['{"value":[{"id":7}]}', /another way than its reference/],
  ] as const) {
    stub.intercept = ({ url = '' }, response) => {
      if (!url.startsWith('/v1.0/groups')) return false
      response.end(body)
      return true
    }
    const groups = await read('groups')
    assert.equal(groups?.status, 'partial')
    assert.match(groups?.missing[0]?.why ?? '', why)
  }
})

test('without a licence nothing of what can be switched on is said, and no subscription that is shown is no proof of none', async (t) => {
  const { i, id, stub } = await world(t)
  await i.collect(id)
  const held = async () =>
    i.count('observed_grant', `native_kind in ('role-eligibility', 'azure-role') and gone_at is null`)
  const before = await held()
  stub.refused.set('roleEligibilityScheduleInstances', { status: 400, code: 'AadPremiumLicenseRequired' })
  stub.refused.set('denyAssignments', { status: 403 })
  stub.refused.set('/subscriptions?', { status: 403 })
  const of = (
    all: readonly { scope: string; status: string; missing: readonly { permission?: string | undefined }[] }[],
    scope: string,
  ) => {
    const found = all.find((each) => each.scope === scope)
    return [found?.status, found?.missing[0]?.permission]
  }
  const first = (await i.collect(id)).scopes
  assert.deepEqual(of(first, 'role-schedules'), ['unsupported', 'Microsoft Entra ID P2 or ID Governance'])
  assert.equal(of(first, 'azure')[0], 'denied')
  stub.refused.delete('/subscriptions?')
  const second = (await i.collect(id)).scopes
  assert.deepEqual(of(second, `azure/${SUBSCRIPTION}`), [
    'partial',
    'Microsoft.Authorization/denyAssignments/read at the subscription (the role Reader)',
  ])
  stub.lists.set('/subscriptions', [])
  assert.equal(of((await i.collect(id)).scopes, 'azure')[0], 'denied')
  assert.equal(await held(), before)
})

test('pages that have nothing to tell are no circle, however many of them come in a row', async (t) => {
  const { stub, read } = await world(t)
  for (const path of ['/v1.0/applications', '/v1.0/servicePrincipals']) {
    const list = stub.lists.get(path)
    if (!Array.isArray(list)) assert.fail(path)
    const quiet = Array.from({ length: 60 }, (_, n) => ({ id: `quiet-${n}`, appId: `quiet-app-${n}` }))
    stub.lists.set(path, [...quiet, ...list])
  }
  for (const scope of ['federation', 'permissions', 'owners'])
    assert.equal((await read(scope))?.status, 'complete', scope)
})

test('a login that is refused or of another tenant reads nothing, and a token that is taken away is made anew once', async (t) => {
  const { i, id, stub } = await world(t)
  await i.collect(id)
  const before = await i.snapshot()
  let refused = 0
  stub.intercept = ({ url = '' }, response) => {
    if (!url.startsWith('/v1.0/users') || refused > 0) return false
    refused += 1
    response.writeHead(401).end('{}')
    return true
  }
  const { outcome } = await i.collect(id)
  assert.deepEqual([outcome, stub.logins], ['complete', 3])
  stub.intercept = () => false
  stub.lists.set('/v1.0/organization', [{ id: '99999999-9999-4999-8999-999999999999', displayName: 'Other' }])
  const other = await i.collect(id)
  const wrong = await world(t, { ...BY_SECRET, clientSecret: 'another' })
  const nothing = await wrong.i.collect(wrong.id)
  const key = await world(t, { ...BY_CERTIFICATE, privateKey: 'no key at all' })

  assert.match(other.problem ?? '', /another tenant/)
  assert.deepEqual(await i.snapshot(), before)
  assert.ok(nothing.scopes.every(({ status }) => status === 'denied'))
  assert.match(nothing.scopes[0]?.missing[0]?.why ?? '', /login is not accepted/)
  const keyless = await key.i.collect(key.id)
  assert.ok(keyless.scopes.every(({ missing: [first] }) => /private key of the login/.test(first?.why ?? '')))
})

test('changes are counted once each, also at the end of a day; those that were thrown away before they were read are said to be lost', async (t) => {
  const { i, stub, read } = await world(t)
  const start = i.w.clock.now().getTime() - 30 * 86_400_000
  const at = (seconds: number) => new Date(start + seconds * 1000).toISOString()
  // A second into the first day, on the border of what is asked at once, and within the hour that is not there yet.
  stub.lists.set('/v1.0/auditLogs/directoryAudits', changes(at(1), at(5 * 86_400), at(30 * 86_400 - 60)))
  const counted = async () =>
    i.count('observed_usage', `semantics = 'api-call' and privilege = 'Consent to application'`)
  const first = await read('audits')
  const [days, sum] = [await counted(), await i.count('observed_usage', `semantics = 'api-call' and count = 1`)]
  await read('audits')
  const unchanged = await i.count('observed_usage', `semantics = 'api-call' and count = 1`)
  i.w.clock.advance(7_200)
  await read('audits')
  const later = await counted()
  i.w.clock.advance(40 * 86_400)
  const lost = await read('audits')

  assert.equal(first?.status, 'complete', JSON.stringify(first))
  assert.deepEqual([days, sum, unchanged, later], [2, 4, 4, 3])
  assert.deepEqual([lost?.status, lost?.missing[0]?.what], ['partial', 'changes between two readings'])
})
