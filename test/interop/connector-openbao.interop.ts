import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { HOSTILE } from '../../src/connectors/conformance/hostile.fixture.ts'
import { openbaoConnector } from '../../src/connectors/openbao/connector.ts'
import { certificateOf, ecKey } from '../support/certificates.ts'
import { saysEachRight, type Right } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { openbaoServer, ROOT, type OpenBaoServer } from '../support/openbao-server.ts'
import { openbaoProgram } from './peers/openbao.ts'

const CERTIFICATE = certificateOf({ subject: 'web.shop', key: ecKey() }).pem
const SECRET = 'correct-horse-battery-staple-4715'
const rule = (path: string, ...capabilities: string[]) =>
  `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`
/** What the page says that a reader needs. */
const READER = [
  rule('sys/mounts', 'read'),
  rule('sys/auth', 'read'),
  rule('sys/policies/acl', 'list'),
  rule('sys/policies/acl/*', 'read'),
  rule('auth/+/role/', 'list'),
  rule('auth/+/role/+', 'read'),
  rule('auth/+/roles/', 'list'),
  rule('auth/+/roles/+', 'read'),
  rule('auth/+/users/', 'list'),
  rule('auth/+/users/+', 'read'),
  rule('auth/+/groups/', 'list'),
  rule('auth/+/groups/+', 'read'),
  rule('auth/+/config', 'read'),
  rule('auth/+/certs/', 'list'),
  rule('auth/+/certs/+', 'read'),
  rule('auth/+/role/+/secret-id/', 'list'),
  rule('auth/+/role/+/secret-id-accessor/lookup', 'update'),
  rule('auth/token/accessors', 'list', 'sudo'),
  rule('auth/token/lookup-accessor', 'update'),
  rule('sys/leases/lookup', 'list', 'sudo', 'update'),
  rule('sys/leases/lookup/*', 'list', 'sudo'),
  rule('secret/metadata/*', 'list', 'read'),
  rule('old/*', 'list'),
].join('')
const IDENTITY = [
  rule('identity/entity/id', 'list'),
  rule('identity/entity/id/*', 'read'),
  rule('identity/group/id', 'list'),
  rule('identity/group/id/*', 'read'),
].join('')
const WHOLE = ['mounts', 'policies', 'identity', 'auth-roles', 'secret-ids', 'tokens', 'leases', 'secrets', 'audit']
let program: string

before(async () => {
  program = await openbaoProgram()
})

type World = Bed & {
  readonly credential: Record<string, string>
  readonly bao: OpenBaoServer
  readonly entity: string
  readonly accessor: string
  readonly token: string
}

async function bed(t: Pick<TestContext, 'after'>): Promise<World> {
  const bao = await openbaoServer(t, program)
  const { api } = bao
  const dataOf = async (answer: Promise<Record<string, unknown>>) => Object((await answer)['data'])
  await api('POST', 'sys/auth/approle', { type: 'approle' })
  await api('POST', 'sys/auth/people', { type: 'userpass' })
  await api('POST', 'sys/auth/ci', { type: 'jwt' })
  await api('POST', 'sys/mounts/old', { type: 'kv', options: { version: '1' } })
  await api('POST', 'old/login', { password: SECRET })
  await api('POST', 'secret/data/shop/database', { data: { password: SECRET } })
  await api('POST', 'secret/metadata/shop/database', { custom_metadata: { owner: 'team-payments' } })
  await api('PUT', 'sys/policies/acl/shop', {
    policy: rule('secret/data/shop/*', 'read') + rule('secret/data/shop/hr', 'deny'),
  })
  await api('PUT', 'sys/policies/acl/keys', { policy: rule('sys/policies/acl/*', 'create', 'update') })
  await api('POST', 'auth/approle/role/shop', { token_policies: 'shop', token_ttl: '1h', secret_id_ttl: '24h' })
  await api('POST', 'auth/approle/role/open', {
    token_policies: 'keys',
    bind_secret_id: false,
    token_bound_cidrs: ['10.0.0.0/8'],
  })
  await api('POST', 'auth/people/users/ann', { password: SECRET, token_policies: 'keys' })
  await api('POST', 'auth/ci/config', {
    jwt_validation_pubkeys: [await publicKey()],
    bound_issuer: 'https://forge.example',
  })
  await api('POST', 'auth/ci/role/deploy', {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: ['bao'],
    bound_claims: { sub: 'repo:acme/*' },
    bound_claims_type: 'glob',
    token_policies: 'shop',
  })
  await api('POST', 'sys/auth/pods', { type: 'kubernetes' })
  await api('POST', 'auth/pods/config', {
    kubernetes_host: 'https://10.1.2.3:6443/',
    kubernetes_ca_cert: CERTIFICATE,
    disable_local_ca_jwt: true,
  })
  await api('POST', 'auth/pods/role/api', {
    bound_service_account_names: ['api'],
    bound_service_account_namespaces: ['pay'],
    token_policies: 'shop',
  })
  const { role_id } = await dataOf(api('GET', 'auth/approle/role/shop/role-id'))
  const { secret_id } = await dataOf(api('POST', 'auth/approle/role/shop/secret-id', {}))
  const login = Object((await api('POST', 'auth/approle/login', { role_id, secret_id }))['auth'])
  await api('GET', 'secret/data/shop/database', undefined, login.client_token)
  await api('POST', 'identity/group', { name: 'shops', policies: ['shop'], member_entity_ids: [login.entity_id] })
  await api('PUT', 'sys/policies/acl/reeve', { policy: READER + IDENTITY })
  const reader = Object((await api('POST', 'auth/token/create', { policies: ['reeve'], ttl: '6h' }))['auth'])
  return {
    bao,
    entity: login.entity_id,
    accessor: login.accessor,
    token: reader.client_token,
    connector: openbaoConnector,
    settings: { url: bao.url, auditLog: bao.auditLog, auditSeesAll: true },
    credential: { token: reader.client_token },
    whole: WHOLE,
    secrets: [SECRET, ROOT, reader.client_token, login.client_token, secret_id, role_id],
    async lose() {
      await api('DELETE', 'auth/people/users/ann')
      return 'auth-roles'
    },
    async deny() {
      await api('PUT', 'sys/policies/acl/reeve', { policy: READER })
      return ['identity']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', '../../sys/seal', 'x'.repeat(2_000)]
      for (const name of names)
        await api('POST', 'identity/entity', { name: `hostile ${name}`, metadata: { note: name.slice(0, 100) } })
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

async function publicKey(): Promise<string> {
  const { generateKeyPairSync } = await import('node:crypto')
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over OpenBao: ${story}`, async (t) => run(t, await bed(t)))
}
// A mount stands under its path; lists of Go that hold nothing are null.
const SAYS = [/^data\.[^.]+\/$/, /^data\.(?:token_policies|policies|member_entity_ids)$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile over OpenBao: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

test('an OpenBao is told: who may have which secret, by which login, and who had it', async (t) => {
  const { connector, settings, credential, entity, accessor } = await bed(t)
  const i = await inventoryWorld(t)
  await i.collect(await i.source(connector, settings, credential && { credential }))
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(table)).join('\n')}`,
    )

  has('observed_resource', 'auth/approle/', 'auth-method')
  has('observed_resource', 'secret/', 'secret-engine')
  has('observed_principal', 'shop', 'secret/data/shop/hr')
  has('observed_grant', 'secret/data/shop/*', 'read')
  has('observed_grant', 'create, update', 'sys/policies/acl/*', 'grant')
  has('observed_principal', entity, 'account')
  has('observed_trust', 'auth/approle/', '(role id)')
  has('observed_grant', 'MEMBER', entity)
  has('observed_credential', 'auth/approle/role/open', 'weak', 'none')
  has('observed_credential', 'auth/approle/role/shop: secret id', 'client-secret')
  has('observed_credential', 'auth/people/users/ann', 'password')
  has('observed_trust', 'https://forge.example', 'repo:acme/*')
  has('observed_trust', 'https://10.1.2.3:6443', 'system:serviceaccount:pay:api')
  has('observed_credential', accessor, 'approle')
  has('observed_credential', 'it is a root token')
  has('observed_credential', 'secret/shop/database', 'team-payments', 'vault')
  has('observed_credential', 'old/login')
  has('observed_reference', entity, 'vault-read', 'shop/database')
  has('observed_usage', 'read secret/data/shop/database')
  has('usage_window', 'every-use')
})

test('by its own log the server was only asked for lists and things, never for a value, and nothing was changed', async (t) => {
  const { bao, connector, settings, credential } = await bed(t)
  const { readFileSync } = await import('node:fs')
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, credential && { credential })
  const from = readFileSync(bao.auditLog, 'utf8').length
  await i.collect(id)
  const asked = readFileSync(bao.auditLog, 'utf8')
    .slice(from)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'response')

  assert.ok(asked.length > 20)
  for (const { request, error } of asked) {
    assert.equal(error, undefined, `${request.operation} ${request.path}: ${error}`)
    assert.doesNotMatch(request.path, /^secret\/data|^old\/login|role-id$/)
    if (request.operation === 'update')
      assert.match(request.path, /capabilities-self$|lookup-accessor$|secret-id-accessor\/lookup$|leases\/lookup$/)
    else assert.match(request.operation, /^(read|list)$/)
  }
})

test('a token that may nothing says for each part which rule of a policy is missing', async (t) => {
  const { bao, connector, settings } = await bed(t)
  const i = await inventoryWorld(t)
  const { client_token: token } = Object(
    (await bao.api('POST', 'auth/token/create', { policies: ['default'] }))['auth'],
  )
  const { scopes } = await i.collect(await i.source(connector, settings, { credential: { token } }))

  for (const { scope, status, missing } of scopes.filter((each) => each.scope !== 'audit')) {
    assert.equal(status, 'denied', scope)
    assert.match(missing[0]?.permission ?? '', /^path ".+" \{ capabilities = \[.+\] \}$/)
  }
})

test('a token that is revoked in mid-reading denies the rest, and nothing is lost', async (t) => {
  const { bao, connector, settings, credential, token } = await bed(t)
  const i = await inventoryWorld(t)
  for (let n = 0; n < 450; n += 1) await bao.api('POST', 'identity/entity', { name: `worker-${n}` })
  const id = await i.source(connector, settings, credential && { credential })
  await i.collect(id)
  const before = await i.count('observed_principal', 'missed_at is null')
  i.swap({
    ...connector,
    async open(given, until) {
      const source = await connector.open(given, until)
      return {
        ...source,
        async *read(scope, since, signal) {
          const reading = source.read(scope, since, signal)
          for (;;) {
            const next = await reading.next()
            if (next.done) return next.value
            yield next.value
            if (scope === 'identity') await bao.api('POST', 'auth/token/revoke', { token })
          }
        },
      }
    },
  })
  const { scopes } = await i.collect(id)

  const identity = scopes.find(({ scope }) => scope === 'identity')
  assert.equal(identity?.status, 'denied')
  assert.match(identity?.missing[0]?.permission ?? '', /a token that lives/)
  assert.equal(await i.count('observed_principal', 'missed_at is null'), before)
})

/** What the reader says without each of its rules. */
function saysWithout(entity: string, group: string): Record<string, Right['says']> {
  const to = (path: string, ...capabilities: string[]) =>
    rule(path, ...capabilities)
      .trim()
      .replaceAll(',', ', ')
  const list = (...paths: string[]) => paths.map((path) => to(path, 'list'))
  const read = (...paths: string[]) => paths.map((path) => to(path, 'read'))
  const policies = ['default', 'keys', 'reeve', 'shop'].map((name) => `sys/policies/acl/${name}`)
  return {
    'sys/mounts': { mounts: ['partial', ...read('sys/mounts')], secrets: ['denied', ...read('sys/mounts')] },
    'sys/auth': {
      mounts: ['partial', ...read('sys/auth')],
      'auth-roles': ['denied', ...read('sys/auth')],
      'secret-ids': ['denied', ...read('sys/auth')],
    },
    'sys/policies/acl': { policies: ['denied', ...list('sys/policies/acl')] },
    'sys/policies/acl/*': { policies: ['partial', ...read(...policies)] },
    'auth/+/role/': {
      'auth-roles': ['partial', ...list('auth/approle/role', 'auth/ci/role', 'auth/pods/role')],
      'secret-ids': ['denied', ...list('auth/approle/role')],
    },
    'auth/+/role/+': {
      'auth-roles': [
        'partial',
        ...read('auth/approle/role/open', 'auth/approle/role/shop', 'auth/ci/role/deploy', 'auth/pods/role/api'),
      ],
    },
    'auth/+/roles/': { 'auth-roles': ['partial', ...list('auth/token/roles')] },
    'auth/+/roles/+': { 'auth-roles': ['partial', ...read('auth/token/roles/job')] },
    'auth/+/users/': { 'auth-roles': ['partial', ...list('auth/corp/users', 'auth/people/users')] },
    'auth/+/users/+': { 'auth-roles': ['partial', ...read('auth/people/users/ann')] },
    'auth/+/groups/': { 'auth-roles': ['partial', ...list('auth/corp/groups')] },
    'auth/+/groups/+': { 'auth-roles': ['partial', ...read('auth/corp/groups/staff')] },
    'auth/+/config': { 'auth-roles': ['partial', ...read('auth/ci/config', 'auth/pods/config')] },
    'auth/+/certs/': { 'auth-roles': ['partial', ...list('auth/hosts/certs')] },
    'auth/+/certs/+': { 'auth-roles': ['partial', ...read('auth/hosts/certs/web')] },
    'auth/+/role/+/secret-id/': {
      'secret-ids': ['denied', ...list('auth/approle/role/open/secret-id', 'auth/approle/role/shop/secret-id')],
    },
    'auth/+/role/+/secret-id-accessor/lookup': {
      'secret-ids': ['partial', to('auth/approle/role/shop/secret-id-accessor/lookup', 'update')],
    },
    'auth/token/accessors': { tokens: ['denied', to('auth/token/accessors', 'list', 'sudo')] },
    'auth/token/lookup-accessor': { tokens: ['denied', to('auth/token/lookup-accessor', 'update')] },
    'sys/leases/lookup': { leases: ['denied', to('sys/leases/lookup', 'list', 'sudo')] },
    'sys/leases/lookup/*': { leases: ['denied', to('sys/leases/lookup/pki', 'list', 'sudo')] },
    'secret/metadata/*': { secrets: ['partial', ...list('secret/metadata')] },
    'old/*': { secrets: ['partial', ...list('old')] },
    'identity/entity/id': { identity: ['partial', ...list('identity/entity/id')] },
    'identity/entity/id/*': { identity: ['partial', ...read(`identity/entity/id/${entity}`)] },
    'identity/group/id': { identity: ['partial', ...list('identity/group/id')] },
    'identity/group/id/*': { identity: ['partial', ...read(`identity/group/id/${group}`)] },
  }
}

test('each rule of the reader is named by what is not seen without it, and by nothing else', async (t) => {
  const { bao, connector, settings, credential, entity } = await bed(t)
  const rules = (READER + IDENTITY).trim().split('\n')
  const write = (kept: readonly string[]) => bao.api('PUT', 'sys/policies/acl/reeve', { policy: kept.join('\n') })
  const groups = await bao.api('GET', 'identity/group/id?list=true')
  const says = saysWithout(entity, String(Object(groups['data']).keys[0]))
  const nameOf = (one: string) => /"([^"]+)"/.exec(one)?.[1] ?? ''
  await bao.api('POST', 'sys/auth/hosts', { type: 'cert' })
  await bao.api('POST', 'auth/hosts/certs/web', { certificate: CERTIFICATE, policies: 'shop' })
  await bao.api('POST', 'sys/auth/corp', { type: 'ldap' })
  await bao.api('POST', 'auth/corp/config', { url: 'ldaps://127.0.0.1' })
  await bao.api('POST', 'auth/corp/groups/staff', { policies: 'shop' })
  await bao.api('POST', 'auth/token/roles/job', { allowed_policies: 'shop' })
  await bao.api('POST', 'sys/mounts/pki', { type: 'pki' })
  await bao.api('POST', 'pki/root/generate/internal', { common_name: 'Shop' })
  await bao.api('POST', 'pki/roles/web', { allow_any_name: true, generate_lease: true })
  await bao.api('POST', 'pki/issue/web', { common_name: 'web.shop', ttl: '1h' })

  assert.deepEqual(Object.keys(says).toSorted(), rules.map(nameOf).toSorted())
  await saysEachRight(
    { connector, settings, credential },
    rules.map((one) => ({
      name: nameOf(one),
      take: () => write(rules.filter((each) => each !== one)),
      give: () => write(rules),
      says: says[nameOf(one)] ?? {},
    })),
  )
})
