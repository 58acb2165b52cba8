import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { z } from 'zod'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { HOSTILE } from '../../src/connectors/conformance/hostile.fixture.ts'
import { Denied } from '../../src/connectors/connector.ts'
import { keycloakConnector } from '../../src/connectors/keycloak/connector.ts'
import { FindingQuery } from '../../src/governance/findings/contract.ts'
import { evaluateFindings } from '../../src/governance/findings/evaluate.ts'
import { listFindings } from '../../src/governance/findings/lists.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { saidBy, saysEachRight } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { client, companyRealm, letIn, PASSWORD, PROVIDER_SECRET, SECRET } from './peers/keycloak-realm.ts'
import { administer, startKeycloak } from './peers/keycloak.ts'

const OLD = 'a-secret-that-was-rotated-away-4717'
const WHOLE = ['realm', 'clients', 'roles', 'role-holders', 'users', 'groups', 'grants', 'identity-providers', 'events']
const ends: (() => void)[] = []
let url = ''
let realms = 0

before(async () => {
  url = await startKeycloak(
    { after: (end) => void ends.push(() => end?.call(undefined)) },
    { features: ['client-secret-rotation'] },
  )
})
after(() => {
  for (const end of ends) end()
})

type World = Bed & {
  readonly realm: string
  readonly at: (path: string, body?: unknown, method?: string) => Promise<unknown>
  readonly idOf: (clientId: string) => Promise<string>
  /** Of the reader's service account. */
  readonly account: string
}

const Ids = z.array(z.object({ id: z.string() }))

async function bed(): Promise<World> {
  realms += 1
  const realm = `company-${realms}`
  const at = (path: string, body?: unknown, method?: string) => administer(url, `/realms/${realm}${path}`, body, method)
  await administer(url, '/realms', companyRealm(realm))
  const idOf = async (clientId: string) => {
    const [found] = Ids.parse(await at(`/clients?clientId=${encodeURIComponent(clientId)}`))
    return found?.id ?? assert.fail(clientId)
  }
  const { id: account } = z
    .object({ id: z.string() })
    .parse(await at(`/clients/${await idOf('reader')}/service-account-user`))
  return {
    realm,
    at,
    idOf,
    account,
    connector: keycloakConnector,
    settings: { url, realm, eventsSeeAll: true },
    credential: { clientId: 'reader', clientSecret: SECRET },
    whole: WHOLE,
    secrets: [SECRET, PASSWORD, PROVIDER_SECRET],
    async lose() {
      await at(`/clients/${await idOf('holder')}`, {}, 'DELETE')
      return 'clients'
    },
    async deny() {
      await take(at, account, 'view-users')
      return ['role-holders', 'users', 'groups', 'grants']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', '../../users', 'a/b?c#d', 'x'.repeat(200)]
      for (const name of names) await at('/roles', { name: `hostile ${name}` })
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

/** Takes a role of `realm-management` from a user, or gives it. */
async function take(at: World['at'], account: string, role: string, method = 'DELETE'): Promise<void> {
  const [management] = Ids.parse(await at('/clients?clientId=realm-management'))
  const found = await at(`/clients/${management?.id}/roles/${role}`)
  await at(`/users/${account}/role-mappings/clients/${management?.id}`, [found], method)
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over Keycloak: ${story}`, async (t) => run(t, await bed()))
}
// A client that names no way to prove itself takes a secret.
const SAYS = [/clientAuthenticatorType$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile over Keycloak: ${story}`, async () => run({ ...(await bed()), says: SAYS }))

test('a realm is told: what clients prove, where their answers go, who rules it, whom it believes, who was let in', async (t) => {
  const b = await bed()
  await letIn(url, b.realm)
  const i = await inventoryWorld(t)
  i.w.clock.advance(60)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  const { scopes } = await i.collect(id)
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(table)).join('\n')}`,
    )

  assert.deepEqual(
    scopes.map(({ scope, status, missing }) => [scope, status, ...missing.map(({ why }) => why)]),
    WHOLE.map((scope) => [scope, 'complete']),
  )
  has('observed_principal', 'billing', 'app', 'team-payments')
  has('observed_principal', 'service-account-billing', 'service')
  has('observed_principal', 'service-account-billing', 'tokenSubjects')
  has('observed_resource', 'token-issuer', '/realms/company-')
  has('observed_credential', 'billing', 'client-secret', '2020-09-13', 'weak', 'shorter than')
  has('observed_credential', 'signer', 'key-pair', 'strong')
  has('observed_credential', 'shop', 'none')
  has('observed_trust', 'oidc-redirect', 'any-address', 'client shop')
  has('observed_trust', 'oidc-redirect', 'https://acme.example*', 'any-host')
  has('observed_trust', 'oidc-redirect', 'http://reports.acme.example/back', 'plaintext')
  has('observed_trust', 'oidc-flow', 'implicit', 'client shop', 'public')
  has('observed_trust', 'oidc-public-client', 'full-scope')
  has('observed_trust', 'oidc-provider', 'http://idp.example', 'unsigned', 'believes-addresses')
  has('observed_trust', 'client-federation', 'https://ci.example', 'repo:acme/shop:ref:refs/heads/main')
  has('observed_trust', 'client-certificate', 'CN=.*', ',t,')
  has('observed_grant', 'manage-users', 'admin')
  has('observed_grant', 'rules-realm', 'view-clients', 'read')
  has('observed_credential', 'offline session at acme-reports', 'oauth-grant', 'third-party', 'acme')
  has('observed_credential', 'consent to acme-reports', 'third-party', 'offline_access')
  has('observed_usage', 'CLIENT_LOGIN')
  has('observed_usage', 'REFRESH_TOKEN')
  assert.equal(await i.count('observed_trust', `facts ->> 'where' like '%client gone%'`), 0)
  assert.equal(await i.count('observed_grant', `native_kind = 'membership'`), 2)
  // Of a secret that several have there is one fingerprint, and it is the one that the value has anywhere else.
  const print = i.needs.fingerprints.of(new Secret(SECRET))
  assert.equal(
    await i.count('observed_credential', `'hmac-sha256:${print.keyId}:${print.value}' = any (fingerprints)`),
    4,
  )
})

test('the rules find what is open in a realm, and nothing on what is well set up', async (t) => {
  const b = await bed()
  await letIn(url, b.realm)
  const i = await inventoryWorld(t)
  await i.collect(await i.source(b.connector, b.settings, b.credential && { credential: b.credential }))
  await evaluateFindings(i.w.db, i.w.needs, new AbortController().signal)
  const { items } = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ limit: 200 }))
  const found = items.map(
    ({ rule, severity, evidence, subject }) => `${rule} ${severity} ${subject.name} ${evidence.join('; ')}`,
  )
  const has = (...parts: string[]) =>
    assert.ok(
      found.some((each) => parts.every((part) => each.includes(part))),
      `${parts.join(' ')}\n${found.join('\n')}`,
    )

  has('wildcard-redirect critical', 'client shop', 'every address is taken')
  has('wildcard-redirect critical', 'client acme-reports', 'https://acme.example*')
  has('wildcard-redirect high', 'http://reports.acme.example/back')
  has('outdated-flow high', 'client shop', 'implicit')
  has('outdated-flow high', 'client shop', 'password')
  has('outdated-flow low', 'client admin-cli')
  has('public-client-powers high', 'client shop')
  has('loose-provider critical', 'identity provider corp', 'without TLS', 'is not checked')
  has('overdue-secret high billing', '2020-09-13')
  has('weak-authentication high billing', 'shorter than')
  has('lasting-grant medium', 'acme holds it')
  has('vendor-held medium', 'acme')
  for (const well of ['https://page.example/back', 'identity provider ci ', 'client gone', 'client signer'])
    assert.ok(!found.some((each) => /^(wildcard|outdated|public|loose)/.test(each) && each.includes(well)), well)
})

test('each role of the reader is named by what is not seen without it, and by nothing else', async () => {
  const { connector, settings, credential = {}, at, account } = await bed()
  const named = (role: string) => `role ${role} of client realm-management for its service account`
  const scopesOf: Record<string, string[]> = {
    'view-clients': ['clients', 'roles', 'role-holders', 'grants', 'identity-providers', 'events'],
    'view-users': ['role-holders', 'users', 'groups', 'grants'],
    'view-identity-providers': ['identity-providers'],
    'view-events': ['events'],
  }
  const reader = { connector, settings, credential, isForetold: true }
  const { read: whole } = await saysEachRight(
    reader,
    Object.entries(scopesOf).map(([role, scopes]) => ({
      name: role,
      take: () => take(at, account, role),
      give: () => take(at, account, role, 'POST'),
      says: Object.fromEntries(scopes.map((scope) => [scope, ['denied', named(role)]])),
    })),
  )
  assert.deepEqual(whole, Object.fromEntries(WHOLE.map((scope) => [scope, ['complete']])))

  // By this one a realm is known: without it nothing of it is read, since it could be another.
  await take(at, account, 'view-realm')
  await assert.rejects(
    saidBy(reader),
    (error) => error instanceof Denied && error.missing.permission === named('view-realm'),
  )
  await take(at, account, 'view-realm', 'POST')
  assert.deepEqual((await saidBy(reader)).read, whole)
})

test('a reader in the realm of administrators reads as one of the realm; where a token names no roles nothing is said to be whole', async () => {
  const { connector, realm, at, idOf } = await bed()
  const inMaster = async (path: string, body?: unknown, method?: string) =>
    administer(url, `/realms/master${path}`, body, method)
  const clientId = `reader-of-${realm}`
  await inMaster('/clients', client(clientId, { secret: SECRET, serviceAccountsEnabled: true, fullScopeAllowed: true }))
  const [made] = Ids.parse(await inMaster(`/clients?clientId=${clientId}`))
  const [rules] = Ids.parse(await inMaster(`/clients?clientId=${realm}-realm`))
  const { id: account } = z
    .object({ id: z.string() })
    .parse(await inMaster(`/clients/${made?.id}/service-account-user`))
  const give = async (role: string, method?: string) => {
    const found = await inMaster(`/clients/${rules?.id}/roles/${role}`)
    await inMaster(`/users/${account}/role-mappings/clients/${rules?.id}`, [found], method)
  }
  for (const role of ['view-realm', 'view-clients', 'view-users', 'view-identity-providers', 'view-events'])
    await give(role)
  const reader = {
    connector,
    settings: { url, realm, loginRealm: 'master', eventsSeeAll: true },
    credential: { clientId, clientSecret: SECRET },
  }
  const whole = await saidBy(reader)
  await give('view-events', 'DELETE')
  const without = await saidBy(reader)
  const light = await idOf('reader')
  const told = z.record(z.string(), z.unknown()).parse(await at(`/clients/${light}`))
  const attributes = { 'client.use.lightweight.access.token.enabled': 'true' }
  await at(`/clients/${light}`, { ...told, attributes }, 'PUT')
  const dark = await saidBy({
    connector,
    settings: { url, realm },
    credential: { clientId: 'reader', clientSecret: SECRET },
  })

  assert.deepEqual(whole.read, Object.fromEntries(WHOLE.map((scope) => [scope, ['complete']])))
  assert.deepEqual(
    Object.entries(without.read).filter(([, [status]]) => status !== 'complete'),
    [['events', ['denied', `role view-events of client ${realm}-realm for its service account`]]],
  )
  const lacks = 'the client scope `roles` for the client that reads, and no lightweight access token'
  assert.deepEqual(dark.read, Object.fromEntries(WHOLE.map((scope) => [scope, ['partial', lacks]])))
})

test('attack: a login that may only query gets empty lists and 200, which is told as denied and not as an empty realm', async (t) => {
  const b = await bed()
  const i = await inventoryWorld(t)
  const credential = { clientId: 'nobody', clientSecret: SECRET }
  const { scopes } = await i.collect(await i.source(b.connector, b.settings, { credential }))

  const of = (scope: string) => scopes.find((each) => each.scope === scope)
  for (const scope of ['clients', 'users', 'groups', 'roles', 'events']) {
    assert.equal(of(scope)?.status, 'denied', scope)
    assert.match(of(scope)?.missing[0]?.permission ?? '', /role view-/)
  }
  assert.equal(of('realm')?.status, 'complete')
})

test('attack: a right that is taken in the middle of a reading denies what came after, although the server goes on to answer 200', async (t) => {
  const b = await bed()
  for (let n = 0; n < 120; n += 1) await b.at('/clients', client(`more-${n}`))
  const i = await inventoryWorld(t)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  await i.collect(id)
  const known = await i.count('observed_principal', `native_kind = 'client'`)
  let isTaken = false
  i.swap({
    ...b.connector,
    async open(given, signal) {
      const source = await b.connector.open(given, signal)
      return {
        ...source,
        async *read(scope, since, until) {
          const reading = source.read(scope, since, until)
          for (;;) {
            const next = await reading.next()
            if (next.done) return next.value
            yield next.value
            if (scope !== 'clients' || isTaken) continue
            isTaken = true
            await take(b.at, b.account, 'view-clients')
            // What is left lets it ask, and be shown nothing.
            const [management] = Ids.parse(await b.at('/clients?clientId=realm-management'))
            const role = await b.at(`/clients/${management?.id}/roles/query-clients`)
            await b.at(`/users/${b.account}/role-mappings/clients/${management?.id}`, [role])
          }
        },
      }
    },
  })
  const { scopes } = await i.collect(id)

  const clients = scopes.find(({ scope }) => scope === 'clients')
  assert.ok(isTaken && known > 130)
  assert.equal(clients?.status, 'denied')
  assert.match(clients?.missing[0]?.permission ?? '', /view-clients/)
  assert.equal(await i.count('observed_principal', `native_kind = 'client' and missed_at is null`), known)
})

test('events that the realm threw away before they were read are a gap, those that it does not keep are named', async (t) => {
  const b = await bed()
  const i = await inventoryWorld(t)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  const eventsOf = async () => (await i.collect(id)).scopes.find(({ scope }) => scope === 'events')
  const ranges = async () => {
    const { rows } = await sql<{ n: number }>`select count(*)::int as n from usage_window w, unnest(w.seen)`.execute(
      i.w.db,
    )
    return rows[0]?.n
  }
  const first = await eventsOf()
  const before = await ranges()
  i.w.clock.advance(3 * 86_400)
  const lost = await eventsOf()
  const after = await ranges()
  await b.at('', { realm: b.realm, enabledEventTypes: ['LOGIN'] }, 'PUT')
  const some = await eventsOf()
  await b.at('', { realm: b.realm, eventsEnabled: false }, 'PUT')
  const none = await eventsOf()

  assert.equal(first?.status, 'complete')
  assert.equal(lost?.status, 'partial')
  assert.match(lost?.missing[0]?.why ?? '', /threw its events away/)
  assert.deepEqual([before, after], [1, 2])
  assert.match(some?.missing[0]?.what ?? '', /CLIENT_LOGIN/)
  assert.equal(none?.status, 'unsupported')
})

test('a secret that was rotated away is told until it ends, and neither value leaves', async (t) => {
  const b = await bed()
  await b.at(
    '/client-policies/profiles',
    {
      profiles: [
        {
          name: 'rotating',
          executors: [
            {
              executor: 'secret-rotation',
              configuration: {
                'expiration-period': 864_000,
                'rotated-expiration-period': 86_400,
                'remaining-rotation-period': 1_000,
              },
            },
          ],
        },
      ],
    },
    'PUT',
  )
  await b.at(
    '/client-policies/policies',
    {
      policies: [
        {
          name: 'rotating',
          enabled: true,
          conditions: [{ condition: 'client-access-type', configuration: { type: ['confidential'] } }],
          profiles: ['rotating'],
        },
      ],
    },
    'PUT',
  )
  await b.at('/clients', client('turning', { secret: OLD }))
  const made = await b.idOf('turning')
  const { value } = z.object({ value: z.string() }).parse(await b.at(`/clients/${made}/client-secret`, {}))
  const i = await inventoryWorld(t)
  await i.collect(await i.source(b.connector, b.settings, b.credential && { credential: b.credential }))
  const all = (await i.snapshot()).join('\n')

  assert.equal(
    await i.count(
      'observed_credential',
      `name = 'turning' and native_kind = 'client-secret' and expires_at is not null`,
    ),
    1,
  )
  assert.equal(
    await i.count(
      'observed_credential',
      `name = 'turning' and native_kind = 'rotated-client-secret' and expires_at is not null`,
    ),
    1,
  )
  assert.ok(!all.includes(OLD) && !all.includes(value))
})
