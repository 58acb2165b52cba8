import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { openbaoConnector } from './connector.ts'
import { readPolicy } from './hcl.ts'

/** A stub: it answers what it was given, as a hostile server could. What is proven is proven on OpenBao itself. */
async function stub(t: Pick<TestContext, 'after'>, answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://stub').pathname
    asked.push(`${request.method} ${path}`)
    const found = Object.entries(answers).find(([of]) =>
      of.endsWith('*') ? path.startsWith(of.slice(0, -1)) : path === of,
    )
    if (!found) response.writeHead(404).end('{"errors":[]}')
    else response.end(typeof found[1] === 'string' ? found[1] : JSON.stringify({ data: found[1] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, asked }
}

async function reading(
  settings: { url: string; auditLog?: string; auditSeesAll?: boolean },
  scope: string,
  cursor?: string,
) {
  const signal = new AbortController().signal
  await using source = await openbaoConnector.open(
    {
      settings,
      credential: new Secret(JSON.stringify({ token: 'token-of-the-stub' })),
      clock: systemClock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http: sourceHttpTo(settings.url, systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const told: Observation[] = []
  const pages = source.read(scope, { cursor }, signal)
  let at: string | undefined
  for (;;) {
    const next = await pages.next()
    if (next.done) return { told, report: next.value satisfies ScopeReport, cursor: at }
    told.push(...next.value.observations)
    at = next.value.cursor ?? at
  }
}

test('policies are read as OpenBao reads them: blocks, comments, older words, JSON, conditions', () => {
  const text = `
    # who "path" { sells
    path "secret/data/shop/*" {
      capabilities = ["read", "list"] // both
      allowed_parameters = { "a" = ["x", 1], "b" = [] }
    }
    /* path "sys/*" { capabilities = ["sudo"] } */
    path "a \\"quoted\\" path" { policy = "write" }
    path "secret/data/shop/*" { capabilities = ["deny"], }`
  assert.deepEqual(readPolicy(text), [
    { path: 'secret/data/shop/*', capabilities: ['list', 'read'], isConditional: true },
    { path: 'a "quoted" path', capabilities: ['create', 'delete', 'list', 'read', 'update'], isConditional: false },
    { path: 'secret/data/shop/*', capabilities: ['deny'], isConditional: false },
  ])
  assert.deepEqual(readPolicy('{"path":{"a/*":{"capabilities":["read"]}}}'), [
    { path: 'a/*', capabilities: ['read'], isConditional: false },
  ])
  assert.deepEqual(readPolicy(''), [])
})

test('attack: a policy that is not understood is not taken for one without rights', () => {
  for (const text of [
    'path "a" { capabilities = ["read" }',
    'path "a" { capabilities = "read" }',
    'path "a" { policy = "everything" }',
    'path "a {',
    'path "a" { capabilities = <<X\nX\n }',
    `path "a" { x = ${'['.repeat(5_000)} }`,
    '{"path":[1]}',
    '}',
  ])
    assert.equal(readPolicy(text), undefined, text.slice(0, 60))
})

test('any text is a policy or none, without an exception', () => {
  const piece = fc.constantFrom(
    'path ',
    '"a/*" ',
    '{',
    '}',
    '[',
    ']',
    '=',
    ',',
    'capabilities',
    '"read"',
    '#',
    '\n',
    '"',
    '\\',
    'é',
  )
  fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => readPolicy(pieces.join('')) !== null))
  fc.assert(fc.property(fc.string(), (text) => readPolicy(text) !== null))
})

test('attack: secrets whose folders never end are cut off, and the rest is partial', async (t) => {
  const { url, asked } = await stub(t, {
    '/v1/sys/mounts': { 'kv/': { accessor: 'kv_1', type: 'kv', options: { version: '2' } } },
    '/v1/kv/metadata/shop': { current_version: 1 },
    '/v1/kv/metadata*': { keys: ['on/', 'shop', '../', '', '/'] },
  })
  const { told, report } = await reading({ url }, 'secrets')

  assert.equal(report.status, 'partial')
  assert.ok(report.missing.some(({ why }) => why.includes('deeper')))
  assert.ok(told.length >= 1 && told.length < 100 && asked.length < 200)
  for (const path of asked) assert.doesNotMatch(path, /\.\.|\/v1\/kv\/data/)
})

test('attack: a name that would be another path is not asked for, and is missing', async (t) => {
  const { url, asked } = await stub(t, {
    '/v1/sys/policies/acl': { keys: ['..', '../../sys/seal', 'a/../b', 'shop?list=true#x', 'r e\u001b'] },
    '/v1/sys/policies/acl/*': { policy: 'path "a" { capabilities = ["read"] }' },
  })
  const { told, report } = await reading({ url }, 'policies')

  assert.equal(report.status, 'partial')
  assert.equal(report.missing.filter(({ why }) => why === 'no path can hold it').length, 3)
  assert.deepEqual(
    told.flatMap((each) => (each.kind === 'principal' ? [each.name] : [])).sort(),
    ['r e\u001b', 'shop?list=true#x'].sort(),
  )
  for (const path of asked) assert.match(path, /^GET \/v1\/sys\/policies\/acl(\/[^/]+)?$/)
})

test('answers that are no answers of OpenBao make a scope partial, and nothing is told of them', async (t) => {
  for (const answer of ['nonsense', '[]', '{"data":{"keys":[1]}}', '{"data":{"keys":"all"}}'])
    await assert.rejects(
      reading({ url: (await stub(t, { '/v1/auth/token/accessors': answer })).url }, 'tokens'),
      /not JSON|another way/,
    )
})

test('the audit log is read on from where it ended; a request counts once, hashed tokens are not kept, a new file is a gap', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bao-audit-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const auditLog = join(folder, 'audit.log')
  const line = (type: string, at: string, more: object = {}) =>
    `${JSON.stringify({
      time: at,
      type,
      auth: { entity_id: 'entity-1', client_token: 'hmac-sha256:never', accessor: 'hmac-sha256:never' },
      request: {
        operation: 'read',
        path: 'secret/data/shop',
        mount_point: 'secret/',
        mount_type: 'kv',
        mount_accessor: 'kv_1',
        remote_address: '10.0.0.9',
        data: { password: 'never' },
      },
      response: { data: { password: 'never' } },
      ...more,
    })}\n`
  writeFileSync(
    auditLog,
    line('request', '2026-11-01T00:00:00Z') + line('response', '2026-11-01T00:00:01.123456789Z') + 'x\n',
  )
  const { url } = await stub(t, {})
  const first = await reading({ url, auditLog, auditSeesAll: true }, 'audit')
  appendFileSync(auditLog, line('response', '2026-11-02T00:00:00Z', { error: 'permission denied' }) + '{"time":')
  const second = await reading({ url, auditLog, auditSeesAll: true }, 'audit', first.cursor)
  rmSync(auditLog)
  writeFileSync(auditLog, '')
  writeFileSync(join(folder, 'other'), '')
  const third = await reading({ url, auditLog, auditSeesAll: true }, 'audit', `1${second.cursor ?? ''}`)

  assert.deepEqual(
    first.told.map(({ kind }) => kind),
    ['usage', 'reference', 'usage-window'],
  )
  assert.deepEqual(first.report.missing, [{ what: '1 lines', why: 'they are no audit entries' }])
  assert.doesNotMatch(JSON.stringify(first.told), /never/)
  const [use, window] = second.told
  assert.ok(use?.kind === 'usage' && use.privilege === undefined && use.count === 1)
  assert.ok(window?.kind === 'usage-window' && window.from.toISOString() === '2026-11-01T00:00:01.123Z')
  assert.equal(second.report.status, 'complete')
  assert.match(third.report.missing[0]?.why ?? '', /rotated/)
})

test('roles are told with the issuer whose tokens their mount takes, and not with one that only stands in a claim', async (t) => {
  const jwt = { role_type: 'jwt', bound_audiences: ['bao'], token_policies: ['shop'] }
  const names = Array.from({ length: 150 }, (_, n) => `sa-${n}`)
  const { url } = await stub(t, {
    '/v1/sys/auth': Object.fromEntries(
      ['ci:jwt', 'odd:jwt', 'keys:jwt', 'k8s:kubernetes', 'cloud:aws', 'shut:jwt', 'sso:oidc'].map((each) => {
        const [path = '', type = ''] = each.split(':')
        return [`${path}/`, { accessor: `a_${path}`, type }]
      }),
    ),
    '/v1/auth/ci/config': { oidc_discovery_url: 'https://token.actions.githubusercontent.com' },
    '/v1/auth/ci/role': { keys: ['deploy'] },
    '/v1/auth/ci/role/deploy': {
      ...jwt,
      bound_subject: 'repo:a/b:pull_request',
      bound_claims: { sub: 'repo:*', '/ref': 'x*' },
    },
    '/v1/auth/odd/config': { oidc_discovery_url: 'https://evil.example', bound_issuer: 'https://good.example' },
    '/v1/auth/odd/role': { keys: ['r'] },
    '/v1/auth/odd/role/r': { ...jwt, bound_claims: { sub: 'repo:*' }, bound_claims_type: 'glob' },
    '/v1/auth/keys/config': { bound_issuer: 'https://good.example', jwks_url: 'https://keys.example/jwks' },
    '/v1/auth/keys/role': { keys: ['r'] },
    '/v1/auth/keys/role/r': jwt,
    '/v1/auth/k8s/config': { kubernetes_host: 'https://10.1.2.3:443/' },
    '/v1/auth/k8s/role': { keys: ['pods'] },
    '/v1/auth/k8s/role/pods': {
      bound_service_account_names: names,
      bound_service_account_namespaces: ['pay', 'shop-*'],
      token_policies: null,
    },
    '/v1/auth/cloud/role': { keys: ['ops'] },
    '/v1/auth/cloud/role/ops': {
      bound_iam_principal_arn: ['arn:aws:iam::123456789012:role/ops'],
      bound_iam_principal_id: ['AROA1', 'ASIA2'],
      token_policies: null,
    },
    '/v1/auth/shut/role': { keys: ['r'] },
    '/v1/auth/shut/role/r': jwt,
    '/v1/auth/sso/config': { oidc_discovery_url: 'https://good.example' },
    '/v1/auth/sso/role': { keys: ['people'] },
    '/v1/auth/sso/role/people': { role_type: 'oidc', bound_claims: { groups: ['ops'] }, token_policies: null },
  })
  const { told, report } = await reading({ url }, 'auth-roles')
  const trusts = told.flatMap((each) => (each.kind === 'trust' ? [each] : []))
  const of = (accessor: string) => trusts.filter(({ to }) => to.id.startsWith(`${accessor}/`))
  const from = (accessor: string) => of(accessor).map((each) => each.from)

  assert.deepEqual(from('a_ci'), [
    {
      issuer: 'https://token.actions.githubusercontent.com',
      claims: { aud: ['bao'], sub: ['repo:a/b:pull_request'], ref: ['x*'] },
    },
  ])
  // Its stars are letters: the role does not say that they are more.
  assert.equal(of('a_ci')[0]?.wildcard, false)
  // Keys of one issuer and the name of another: the keys decide, and no token has both.
  assert.deepEqual(from('a_odd'), [
    { issuer: 'https://evil.example', claims: { aud: ['bao'], sub: ['repo:*'], iss: ['https://good.example'] } },
  ])
  assert.deepEqual(
    [of('a_keys')[0]?.facts?.['keysFrom'], of('a_keys')[0]?.wildcard],
    ['https://keys.example/jwks', true],
  )
  assert.deepEqual(
    of('a_k8s').map((each) => ('issuer' in each.from ? [each.from.issuer, each.from.claims['sub']?.length] : [])),
    [
      ['https://10.1.2.3', 200],
      ['https://10.1.2.3', 100],
    ],
  )
  assert.deepEqual(
    from('a_cloud').filter((each) => !('issuer' in each)),
    [{ kind: 'role', id: 'AROA1', authority: 'aws:123456789012' }],
  )
  // Without a configuration, or by a browser, no issuer is named.
  assert.deepEqual(
    [...from('a_shut'), ...from('a_sso')].map((each) => 'issuer' in each && each.issuer),
    ['auth/shut/', 'auth/sso/'],
  )
  assert.equal(report?.status, 'complete')
})

test('attack: a 404 that is not the server’s own word, and an answer without what is always in it, are not taken for nothing', async (t) => {
  // A gateway on the way, and then a namespace that is gone.
  let asked = 0
  const server = createServer((_request, response) => {
    asked += 1
    response
      .writeHead(404)
      .end(asked % 2 === 0 ? '{}' : '{"errors":["no handler for route \\"x\\". route entry not found."]}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const away = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  for (const scope of ['mounts', 'policies', 'identity', 'auth-roles', 'secret-ids', 'tokens', 'leases', 'secrets'])
    await assert.rejects(reading({ url: away }, scope), /the server answered 404/, scope)

  // As OpenBao says that a list is empty.
  const { url } = await stub(t, {})
  assert.equal((await reading({ url }, 'identity')).report.status, 'complete')
  await assert.rejects(reading({ url }, 'mounts'), /does not say what is mounted/)
  const { url: without } = await stub(t, { '/v1/identity/entity/id': {}, '/v1/auth/token/accessors': 'null' })
  for (const scope of ['identity', 'tokens']) await assert.rejects(reading({ url: without }, scope), /in another way/)
})

test('an end that cannot be read is not known, and only what says so never ends', async (t) => {
  const token = (expire: unknown) => ({
    creation_time: 1_760_000_000,
    policies: ['shop'],
    ...(expire !== 'none' && { expire_time: expire }),
  })
  const ends: unknown[] = []
  for (const expire of [null, 'yesterday', '1950-01-01T00:00:00Z', '2027-01-01T00:00:00Z', 'none']) {
    const { url } = await stub(t, {
      '/v1/auth/token/accessors': { keys: ['a'] },
      '/v1/auth/token/lookup-accessor': token(expire),
    })
    const { told } = await reading({ url }, 'tokens')
    ends.push(...told.map((each) => (each.kind === 'credential' ? [each.expiresAt, each.strengthWhy] : [])))
  }
  assert.deepEqual(ends, [
    [{ known: true, value: 'never' }, ['it never expires']],
    [{ known: false, why: 'failed' }, []],
    [{ known: false, why: 'failed' }, []],
    [{ known: true, value: new Date('2027-01-01T00:00:00Z') }, []],
    [{ known: false, why: 'unsupported' }, []],
  ])
})
