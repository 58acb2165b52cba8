import assert from 'node:assert/strict'
import { chmodSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cliFor, fakeApi, identityNamed, problemReply, type Cli, type FakeApi } from './support.fixture.ts'
import { durationSeconds, durationText } from './values.ts'
import { pathOf } from './client.ts'
import { revokeGrant } from '../access/contract.ts'

const GRANT = '01890000-0000-7000-8000-00000000000a'

async function world(t: Parameters<typeof fakeApi>[0]): Promise<{ api: FakeApi; cli: Cli }> {
  const api = await fakeApi(t)
  const cli = await cliFor(t, { REEVE_ADDR: api.url, REEVE_TOKEN: 'tok-1' })
  cli.env['REEVE_CACERT'] = api.authority.certificateFile
  return { api, cli }
}

test('what is typed goes out as path, query and body, with the token and a key of its own', async (t) => {
  const { api, cli } = await world(t)
  api.answer = () => ({ status: 200, body: { id: GRANT, state: 'ok' } })

  const { code, stdout } = await cli.run(
    'access',
    'request',
    '--target',
    'orders',
    '--account',
    'app',
    '--action',
    'postgres.read',
    '--action',
    'postgres.write',
    '--purpose',
    'support',
    '--ttl',
    '1h30m',
    '--kept-alive',
    '-o',
    'json',
  )

  const [asked] = api.asked
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), { id: GRANT, state: 'ok' })
  assert.equal(`${asked?.method} ${asked?.path}`, 'POST /v1/requests')
  assert.deepEqual(asked?.body, {
    target: 'orders',
    account: 'app',
    actions: ['postgres.read', 'postgres.write'],
    purpose: 'support',
    ttlSeconds: 5400,
    isKeptAlive: true,
  })
  assert.equal(asked?.headers.authorization, 'Bearer tok-1')
  assert.match(String(asked?.headers['idempotency-key']), /^[0-9a-f-]{36}$/)
})

test('fields come from a document too, and options go over it', async (t) => {
  const { api, cli } = await world(t)
  api.answer = () => ({ status: 201, body: {} })
  writeFileSync(join(cli.folder, 'login'), '{"user":"provisioner","password":"hush"}')
  const document =
    'name: orders\nprotocol: postgres\nenvironment: production\nownerTeam: payments\nsettings: {host: db}\n'

  const { code, stderr } = await cli.runWith(
    document,
    'target',
    'register',
    '--from',
    '-',
    '--environment',
    'staging',
    '--provisioner-file',
    'login',
  )

  assert.equal(code, 0, stderr)
  assert.deepEqual(api.asked[0]?.body, {
    name: 'orders',
    protocol: 'postgres',
    environment: 'staging',
    ownerTeam: 'payments',
    settings: { host: 'db' },
    provisioner: { user: 'provisioner', password: 'hush' },
  })
})

test('a field that can be empty is emptied by --no-…', async (t) => {
  const { api, cli } = await world(t)
  api.answer = () => ({ status: 200, body: {} })

  await cli.run('identity', 'update', 'pipeline', '--no-purpose', '--tier', '1')

  assert.deepEqual(api.asked[0]?.body, { purpose: null, tier: 1 })
  assert.equal(api.asked[0]?.path, '/v1/identities/pipeline')
})

test('a slip is named before anything is sent: 1', async (t) => {
  const { api, cli } = await world(t)
  const cases: [args: string[], said: RegExp][] = [
    [['target', 'lsit'], /unknown command 'lsit'[^]*Did you mean list\?/],
    [['target', 'list', '--environmnet', 'test'], /unknown option[^]*Did you mean --environment\?/],
    [['target', 'list', '--environment', 'prod'], /Allowed choices are production/],
    [['grant', 'revoke', GRANT], /Missing: --reason <text>/],
    [['grant', 'revoke', 'that-one', '--reason', 'left the team'], /grant: Invalid UUID/],
    [['grant', 'revoke', GRANT, '--reason', 'x'], /--reason: Too small/],
    [['grant', 'list', '--limit', 'many'], /--limit takes a number/],
    [['token', 'issue', 'me', '--label', 'x', '--ttl', 'soon'], /--ttl takes a duration/],
    [['target', 'register', '--from', 'nowhere.yaml'], /nowhere\.yaml cannot be read \(ENOENT\)/],
    [['target', 'list', '-o', 'xml'], /xml is no form of output/],
    [['target', 'list', '\u001b[2J'], /\\u001b\[2J|too many arguments/],
  ]
  for (const [args, said] of cases) {
    const { code, stderr } = await cli.run(...args)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, said)
    assert.ok(!stderr.includes('\u001b'))
  }
  assert.deepEqual(api.asked, [])
})

test('a problem is its sentence, what to do, and an exit code that tells why', async (t) => {
  const { api, cli } = await world(t)
  const revoke = () => cli.run('grant', 'revoke', GRANT, '--reason', 'left the team')
  const cases = [
    { reply: problemReply(401, 'unauthenticated', 'Send a valid token.'), code: 3, said: /reeve enrol <link>/ },
    {
      reply: problemReply(403, 'not-permitted', 'No policy permits this.', {
        reasons: ['nobody decides for themselves'],
      }),
      code: 3,
      said: /^reeve: No policy permits this\.\n {2}nobody decides for themselves\n {2}The request was r-1\.\n$/,
    },
    { reply: problemReply(409, 'grant-over', 'Grant x ran out by itself.'), code: 5, said: /ran out by itself/ },
    { reply: problemReply(404, 'not-found', 'There is no such grant.'), code: 2, said: /reeve grant list/ },
    {
      reply: problemReply(400, 'invalid-input', 'Not valid.', { issues: [{ path: 'reason', message: 'too short' }] }),
      code: 1,
      said: /reason: too short/,
    },
    { reply: problemReply(500, 'internal-error', ''), code: 2, said: /server’s log/ },
    { reply: { status: 502 }, code: 2, said: /The server answered 502/ },
    { reply: problemReply(404, 'not-found', `\u001b[2Jno`), code: 2, said: /\\u001b\[2Jno/ },
  ]
  for (const { reply, code, said } of cases) {
    api.answer = () => reply
    const ran = await revoke()
    assert.equal(ran.code, code, ran.stderr)
    assert.match(ran.stderr, said)
    assert.equal(ran.stdout, '')
  }
})

test('a write whose answer was lost is sent again under the same key, so that it happens once', async (t) => {
  const { api, cli } = await world(t)
  api.answer = () => (api.asked.length < 3 ? 'cut' : { status: 200, body: { id: GRANT } })

  const { code } = await cli.run('grant', 'revoke', GRANT, '--reason', 'left the team')

  assert.equal(code, 0)
  assert.equal(api.asked.length, 3)
  assert.equal(new Set(api.asked.map(({ headers }) => headers['idempotency-key'])).size, 1)
})

test('a repeat that overtakes the first write waits for it; one whose outcome nobody knows is said', async (t) => {
  const { api, cli } = await world(t)
  const running = problemReply(409, 'idempotency-key-in-progress', 'It still runs.', { outcome: 'running' })
  api.answer = () => (api.asked.length < 2 ? running : { status: 200, body: {} })
  assert.equal((await cli.run('grant', 'done', GRANT)).code, 0)
  assert.equal(api.asked.length, 2)

  api.answer = () => problemReply(409, 'idempotency-key-in-progress', 'Nobody knows.', { outcome: 'unknown' })
  assert.equal((await cli.run('grant', 'done', GRANT)).code, 2)
  assert.equal(api.asked.length, 3)
})

test('--all follows the pages, and without it the next one is named', async (t) => {
  const { api, cli } = await world(t)
  const coverage = { isWhole: false, sources: 1, scopes: {}, unseen: [], more: 0 }
  api.answer = ({ path }) =>
    path.includes('cursor=c2')
      ? { status: 200, body: { items: [{ name: 'b' }], nextCursor: null, coverage } }
      : { status: 200, body: { items: [{ name: 'a' }], nextCursor: 'c2', coverage } }

  assert.equal((await cli.run('target', 'list', '--all', '-o', 'name')).stdout, 'a\nb\n')
  // What was not seen of them is said of all pages together too.
  assert.deepEqual(JSON.parse((await cli.run('source', 'list', '--all', '-o', 'json')).stdout).coverage, coverage)
  const first = await cli.run('target', 'ls', '-o', 'name')
  assert.equal(first.stdout, 'a\n')
  assert.match(first.stderr, /--cursor c2/)
})

test('a server whose certificate does not prove it gets neither token nor request', async (t) => {
  const { api, cli } = await world(t)
  const other = await fakeApi(t)
  cli.env['REEVE_CACERT'] = other.authority.certificateFile

  const { code, stderr } = await cli.run('target', 'list')

  assert.equal(code, 2)
  assert.match(stderr, /does not prove to be the server[^]*Nothing was sent/)
  assert.deepEqual(api.asked, [])
})

test('a name cannot climb out of its place in the path', () => {
  assert.equal(pathOf(revokeGrant, { params: { grant: '../../x?y#z' } }), '/v1/grants/..%2F..%2Fx%3Fy%23z/revoke')
  assert.throws(() => pathOf(revokeGrant, { params: { grant: '..' } }), /names nothing/)
})

test('durations are what people write', () => {
  const said = ['90', '90s', '15m', '1h30m', '7d', '', 'h', '1w', '-1', '1.5h'].map(durationSeconds)
  assert.deepEqual(said, [90, 90, 900, 5400, 604_800, undefined, undefined, undefined, undefined, undefined])
  const told = [90, 900, 5400, 28_800, 604_800, 0].map(durationText)
  assert.deepEqual(told, ['1m30s', '15m', '1h30m', '8h', '7d', '0s'])
})

test('a founder enrols by a link: the CA is known by its hash, and the proof is kept for this user alone', async (t) => {
  const api = await fakeApi(t)
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const cli = await cliFor(t)
  api.answer = ({ path }) =>
    path === '/v1/whoami'
      ? { status: 200, body: identityNamed('alice') }
      : {
          status: 201,
          body: {
            id: '01890000-0000-7000-8000-000000000009',
            identityId: '01890000-0000-7000-8000-000000000001',
            expiresAt: '2027-01-01T00:00:00.000Z',
            token: 'tok-alice',
          },
        }
  const link = `${api.url}/#enrol=${'s'.repeat(32)}&ca=${spkiSha256(api.authority.certificate)}`

  const { code, stderr } = await cli.run('enrol', link, '--name', 'alice')

  assert.equal(code, 0, stderr)
  assert.match(stderr, /You are alice \(human\)/)
  assert.ok(api.asked.every(({ path }) => !path.includes('ssss')))
  assert.equal((api.asked[0]?.body as { secret: string } | undefined)?.secret, 's'.repeat(32))
  assert.equal(api.asked[0]?.headers.authorization, undefined)
  assert.equal(api.asked[1]?.headers.authorization, 'Bearer tok-alice')
  const folder = join(cli.folder, 'contexts')
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.equal(statSync(join(folder, 'contexts.json')).mode & 0o777, 0o600)
  assert.match((await cli.run('context', 'list')).stdout, /\* +alice@127\.0\.0\.1:\d+ +alice/)
  assert.match((await cli.run('whoami', '-o', 'name')).stdout, /^alice\n$/)
})

test('a server in the middle has another CA: the link is not sent to it', async (t) => {
  const [honest, middle] = [await fakeApi(t), await fakeApi(t)]
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const cli = await cliFor(t)
  const link = `${middle.url}/#enrol=${'s'.repeat(32)}&ca=${spkiSha256(honest.authority.certificate)}`

  const { code, stderr } = await cli.run('enrol', link)

  assert.equal(code, 2)
  assert.match(stderr, /is not the server that the link was made by/)
  assert.deepEqual(middle.asked, [])
})

test('one in the middle that shows the true CA certificate has no certificate from it, and gets nothing', async (t) => {
  const [honest, middle] = [await fakeApi(t), await fakeApi(t)]
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const pin = spkiSha256(honest.authority.certificate)
  Object.assign(middle.authority, { certificate: honest.authority.certificate })
  const cli = await cliFor(t)

  const { code, stderr } = await cli.run('enrol', `${middle.url}/#enrol=${'s'.repeat(32)}&ca=${pin}`)

  assert.equal(code, 2)
  assert.match(stderr, /Nothing was sent/)
  assert.deepEqual(middle.asked, [])
})

test('with --key the token is kept with a key that never left, and comes with its certificate', async (t) => {
  const api = await fakeApi(t)
  const cli = await cliFor(t)
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const { createPublicKey } = await import('node:crypto')
  api.answer = async ({ path, body }) => {
    if (path === '/v1/whoami') return { status: 200, body: { ...identityNamed('pipeline'), kind: 'workload' } }
    const { publicKey } = body as { publicKey: string }
    const spki = createPublicKey(publicKey).export({ type: 'spki', format: 'der' })
    const { cert } = await api.authority.issueClient({ spki, commonName: 'pipeline', ttlSeconds: 600 })
    const id = '01890000-0000-7000-8000-000000000009'
    return {
      status: 201,
      body: { id, identityId: id, expiresAt: '2027-01-01T00:00:00.000Z', token: 'tok-p', certificate: cert },
    }
  }

  const pin = spkiSha256(api.authority.certificate)
  const { code, stderr } = await cli.run('enrol', `${api.url}/#enrol=${'s'.repeat(32)}&ca=${pin}`, '--key')

  assert.equal(code, 0, stderr)
  assert.equal(api.asked[0]?.certificate, undefined)
  assert.notEqual(api.asked[1]?.certificate, undefined)
  assert.ok(!JSON.stringify(api.asked).includes('PRIVATE KEY'))
})

test('a token of a context goes to that context’s address only', async (t) => {
  const [home, other] = [await fakeApi(t), await fakeApi(t)]
  const cli = await cliFor(t)
  home.answer = () => ({ status: 200, body: identityNamed('alice') })
  other.answer = () => problemReply(401, 'unauthenticated', 'Send a valid token.')
  writeFileSync(join(cli.folder, 'token'), 'tok-home\n')
  cli.env['REEVE_CACERT'] = home.authority.certificateFile
  const login = await cli.run(
    'login',
    '--token-file',
    'token',
    '--address',
    home.url,
    '--cacert',
    home.authority.certificateFile,
  )
  assert.equal(login.code, 0, login.stderr)

  cli.env['REEVE_ADDR'] = other.url
  cli.env['REEVE_CACERT'] = other.authority.certificateFile
  const { code } = await cli.run('whoami')

  assert.equal(code, 3)
  assert.equal(other.asked[0]?.headers.authorization, undefined)
})

test('a file of proofs that others could read is not used', async (t) => {
  const { api, cli } = await world(t)
  api.answer = () => ({ status: 200, body: identityNamed('alice') })
  writeFileSync(join(cli.folder, 'token'), 'tok-1')
  await cli.run('login', '--token-file', 'token', '--address', api.url, '--cacert', api.authority.certificateFile)
  chmodSync(join(cli.folder, 'contexts', 'contexts.json'), 0o644)

  const { code, stderr } = await cli.run('whoami')

  assert.equal(code, 1)
  assert.match(stderr, /chmod 600/)
})

test('a token is not sent in plain text to another machine', async (t) => {
  const cli = await cliFor(t, { REEVE_ADDR: 'http://reeve.example:7300', REEVE_TOKEN: 'tok-1' })
  const { code, stderr } = await cli.run('whoami')
  assert.equal(code, 1)
  assert.match(stderr, /plain text/)
})

test('logging out revokes the token and forgets it', async (t) => {
  const api = await fakeApi(t)
  const cli = await cliFor(t)
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const id = '01890000-0000-7000-8000-000000000009'
  const issued = { id, identityId: id, expiresAt: '2027-01-01T00:00:00.000Z', token: 'tok-a' }
  api.answer = ({ path }) =>
    path === '/v1/whoami' ? { status: 200, body: identityNamed('alice') } : { status: 200, body: issued }
  const enrolled = `${api.url}/#enrol=${'s'.repeat(32)}&ca=${spkiSha256(api.authority.certificate)}`
  await cli.run('enrol', enrolled)

  const { stderr } = await cli.run('logout')

  assert.equal(api.asked.at(-1)?.path, `/v1/tokens/${id}/revoke`)
  assert.match(stderr, /was revoked/)
  assert.equal((await cli.run('whoami')).code, 1)
})

test('a link for another identity names the server and the hash of its CA', async (t) => {
  const { api, cli } = await world(t)
  const { spkiSha256 } = await import('../kernel/key-pair.ts')
  const id = '01890000-0000-7000-8000-000000000009'
  const secret = 'e'.repeat(40)
  api.answer = () => ({ status: 201, body: { id, identityId: id, expiresAt: '2027-01-01T00:00:00.000Z', secret } })

  const { stdout } = await cli.run('identity', 'enrol', 'bob', '-o', 'json')

  const pin = spkiSha256(api.authority.certificate)
  assert.equal(JSON.parse(stdout).link, `${api.url}/#enrol=${secret}&ca=${pin}`)
})

test('versions of both sides are said, and a server that is away is no failure', async (t) => {
  const { cli } = await world(t)
  assert.deepEqual(JSON.parse((await cli.run('version', '-o', 'json')).stdout), { client: '1.2.3', server: '9.9.9' })

  cli.env['REEVE_ADDR'] = 'https://127.0.0.1:1'
  const away = await cli.run('version', '-o', 'json')
  assert.deepEqual(JSON.parse(away.stdout), { client: '1.2.3', server: null })
  assert.match(away.stderr, /Nothing answers/)
})
