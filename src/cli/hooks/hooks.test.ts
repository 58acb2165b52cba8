import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { cliFor, fakeApi, type Cli, type FakeApi } from '../support.fixture.ts'

const GRANT = '01890000-0000-7000-8000-00000000000a'
const ID = '01890000-0000-7000-8000-00000000000c'
const AT = '2026-01-02T03:04:05.000Z'
const TOKEN = 'a-token-that-is-secret'

const GRANTED = {
  id: GRANT,
  requestId: ID,
  subjectId: ID,
  subject: 'alice',
  onBehalfOfId: null,
  onBehalfOf: null,
  targetId: ID,
  target: 'cluster-1',
  accountId: ID,
  account: 'shop/viewer',
  actions: ['k8s-token.read'],
  parserEnforced: [],
  purposeId: ID,
  purpose: 'look',
  ticket: null,
  task: null,
  recording: 'none',
  maxUses: null,
  uses: 1,
  maxConnections: 4,
  isKeptAlive: false,
  startsAt: AT,
  expiresAt: '2099-01-02T03:04:05.000Z',
  endedAt: null,
  endReason: null,
  endComment: null,
  endedById: null,
  residualBefore: null,
  policyVersion: 'p',
  riskScore: null,
  version: 1,
}

type World = { readonly api: FakeApi; readonly cli: Cli; grants: object[]; handed: object }

async function world(t: TestContext): Promise<World> {
  const api = await fakeApi(t, 7332)
  const cli = await cliFor(t, { REEVE_ADDR: api.url, REEVE_TOKEN: 'tok-1' })
  cli.env['REEVE_CACERT'] = api.authority.certificateFile
  cli.env['XDG_RUNTIME_DIR'] = cli.folder
  const made: World = {
    api,
    cli,
    grants: [GRANTED],
    handed: {
      leaseId: ID,
      grantId: GRANT,
      kind: 'kubernetes-token',
      target: 'cluster-1',
      account: 'shop/viewer',
      revocability: 'immediate',
      validBefore: AT,
      residualBefore: null,
      about: { server: 'https://cluster.example:6443' },
      values: { token: TOKEN },
    },
  }
  api.answer = ({ path }) => {
    if (path.startsWith('/v1/grants?')) return { status: 200, body: { items: made.grants, nextCursor: null } }
    if (path.endsWith('/credentials')) return { status: 201, body: made.handed }
    if (path.endsWith('/tickets')) {
      const more = { firstUseBefore: AT, isSingleUse: false, expiresAt: AT }
      return {
        status: 201,
        body: { id: ID, grantId: GRANT, user: 'app@orders', ticket: String.raw`rvt_a:b\c`, ...more },
      }
    }
    if (path.endsWith('/ssh-certificates')) {
      const about = {
        leaseId: ID,
        grantId: GRANT,
        serial: '1',
        keyId: 'k',
        certificate: 'ssh-cert AAAA deploy@build-1',
      }
      const where = { login: 'deploy', host: '192.0.2.7', port: 2222, knownHosts: ['build-1 ssh-ed25519 AAAA'] }
      const bounds = { principals: ['deploy@build-1'], sourceAddresses: ['127.0.0.1'], command: null }
      return { status: 201, body: { ...about, ...where, ...bounds, validBefore: '2099-01-02T03:04:05.000Z' } }
    }
    return { status: 404, body: {} }
  }
  return made
}

const ON = ['--on', 'cluster-1:shop/viewer', '--for', 'look']
const kubectl = ({ cli }: World) => cli.run('credential', 'kubectl', ...ON)

test('kubectl is answered in the version it asks for, from the grant that stands, and stderr says nothing', async (t) => {
  const w = await world(t)

  const plain = await kubectl(w)
  w.cli.env['KUBERNETES_EXEC_INFO'] = JSON.stringify({
    apiVersion: 'client.authentication.k8s.io/v1beta1',
    kind: 'ExecCredential',
    spec: { interactive: false, cluster: { server: 'https://cluster.example:6443' } },
  })
  const older = await kubectl(w)

  assert.deepEqual(JSON.parse(plain.stdout), {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: TOKEN, expirationTimestamp: AT },
  })
  assert.equal(JSON.parse(older.stdout).apiVersion, 'client.authentication.k8s.io/v1beta1')
  assert.deepEqual([plain.stderr, older.stderr], ['', ''])
  assert.ok(w.api.asked.every(({ path }) => path !== '/v1/requests'))
})

test('attack: a kubeconfig of another server, and words that are no version of ours, get no token', async (t) => {
  const w = await world(t)
  for (const info of [
    '{"apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://evil.example:6443"}}}',
    '{"apiVersion":"client.authentication.k8s.io/v9"}',
    'not json',
  ]) {
    w.cli.env['KUBERNETES_EXEC_INFO'] = info
    const { code, stdout, stderr } = await kubectl(w)
    assert.deepEqual([code, stdout], [1, ''])
    assert.ok(!stderr.includes(TOKEN))
  }
})

test('a grant that is for something else, or that a command keeps alive, is not used on', async (t) => {
  for (const other of [
    { account: 'shop/admin' },
    { purpose: 'other' },
    { actions: ['k8s-token.read', 'k8s-token.admin'] },
    { isKeptAlive: true },
  ]) {
    const w = await world(t)
    w.grants = [{ ...GRANTED, ...other }]
    await kubectl(w)
    assert.ok(
      w.api.asked.some(({ path }) => path === '/v1/requests'),
      JSON.stringify(other),
    )
  }
})

test('attack: a login with a line break in it is not given to git', async (t) => {
  const w = await world(t)
  const about = { server: 'https://git.example' }
  w.grants = [{ ...GRANTED, actions: ['https.read'] }]
  w.handed = { ...w.handed, kind: 'https-login', about, values: { username: 'u', password: 'p\nhost=evil' } }

  const { code, stdout } = await w.cli.runWith(
    'protocol=https\nhost=git.example\n\n',
    'credential',
    'git',
    ...ON,
    'get',
  )

  assert.deepEqual([code, stdout], [2, ''])
})

test('AWS is answered as credential_process has it, and another kind of credential not at all', async (t) => {
  const w = await world(t)
  w.grants = [{ ...GRANTED, actions: ['aws.read'] }]
  const aws = () => w.cli.run('credential', 'aws', ...ON)
  const wrong = await aws()
  const values = { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't' }
  w.handed = { ...w.handed, kind: 'aws-session', values }

  const right = await aws()

  assert.deepEqual([wrong.code, wrong.stdout], [1, ''])
  const expected = { Version: 1, AccessKeyId: 'ASIA', SecretAccessKey: 's', SessionToken: 't', Expiration: AT }
  assert.deepEqual(JSON.parse(right.stdout), expected)
})

test('libpq gets a line for .pgpass with what has to be escaped, and a service without a secret', async (t) => {
  const w = await world(t)
  w.grants = [{ ...GRANTED, target: 'orders', account: 'app', actions: ['postgres.read'] }]
  const on = ['--on', 'orders:app', '--for', 'look']

  const line = await w.cli.run('credential', 'pgpass', ...on)
  const service = await w.cli.run('credential', 'pg-service', ...on, '--database', 'shop')

  assert.equal(line.stdout, `127.0.0.1:7332:*:app@orders:${String.raw`rvt_a\:b\\c`}\n`)
  const lines = ['[orders]', 'host=127.0.0.1', 'port=7332', 'user=app@orders', 'dbname=shop', 'sslmode=verify-full', '']
  assert.equal(service.stdout, lines.join('\n'))
})

test('ssh gets a key of its own, its certificate and the host’s keys, once while they are good', async (t) => {
  const w = await world(t)
  w.grants = [{ ...GRANTED, target: 'build-1', account: 'deploy', actions: ['ssh.shell'] }]
  const on = ['--on', 'build-1:deploy', '--for', 'look']

  const lines = await w.cli.run('credential', 'ssh-config', ...on)
  const first = await w.cli.run('credential', 'ssh', ...on)
  const again = await w.cli.run('credential', 'ssh', ...on)

  const folder = join(w.cli.folder, 'reeve', 'ssh', 'build-1')
  assert.equal(
    lines.stdout,
    `Match originalhost build-1 exec "reeve credential ssh --on build-1:deploy --for look"\n  Include ${join(folder, 'config')}\n`,
  )
  assert.deepEqual([first.code, first.stdout, again.code], [0, '', 0])
  assert.equal(w.api.asked.filter(({ path }) => path.endsWith('/ssh-certificates')).length, 1)
  assert.equal((statSync(join(folder, 'key')).mode & 0o777).toString(8), '600')
  const config = readFileSync(join(folder, 'config'), 'utf8')
  for (const line of ['HostName 192.0.2.7', 'Port 2222', 'User deploy', 'StrictHostKeyChecking yes'])
    assert.match(config, new RegExp(`^${line}$`, 'm'))
})

test('attack: names that a shell or a folder would take for something else are refused', async (t) => {
  const w = await world(t)
  for (const on of ['build-1:$(id)', 'build-1:a b', '../../x:deploy', 'build-1:"x']) {
    const { code, stdout } = await w.cli.run('credential', 'ssh-config', '--on', on, '--for', 'look')
    assert.deepEqual([code, stdout], [1, ''], on)
  }
  assert.ok(!existsSync(join(w.cli.folder, 'reeve')))
})
