import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  cliFor,
  fakeApi,
  folderOf,
  problemReply,
  type Asked,
  type Cli,
  type FakeApi,
  type Reply,
} from '../support.fixture.ts'
import { runEnvironment } from './environment.ts'

const REQUEST = '01890000-0000-7000-8000-00000000000b'
const GRANT = '01890000-0000-7000-8000-00000000000a'
const ID = '01890000-0000-7000-8000-00000000000c'
const AT = '2026-01-02T03:04:05.000Z'
const HASH = 'a'.repeat(64)

const request = (state: string, more: Record<string, unknown> = {}) => ({
  id: REQUEST,
  requesterId: ID,
  requester: 'alice',
  triggeredById: null,
  subjectId: ID,
  subject: 'alice',
  onBehalfOfId: null,
  onBehalfOf: null,
  targetId: ID,
  target: 'orders',
  accountId: ID,
  account: 'app',
  actions: ['postgres.read'],
  parserEnforced: [],
  purposeId: ID,
  purpose: 'support',
  ticket: null,
  task: null,
  reason: null,
  askedTtlSeconds: 3600,
  ttlSeconds: 3600,
  askedUses: null,
  uses: null,
  connections: 4,
  isKeptAlive: true,
  mode: 'enforce',
  waived: [],
  warnings: [],
  obligations: {
    approval: [],
    ttlSeconds: null,
    uses: null,
    stepUp: 'none',
    recording: 'full',
    reasonRequired: false,
    tickets: [],
    hold: [],
  },
  policies: [],
  policyVersion: 'p',
  boundSha256: HASH,
  state,
  refusal: null,
  createdAt: AT,
  expiresAt: AT,
  decidedAt: state === 'pending' ? null : AT,
  grantId: state === 'granted' ? GRANT : null,
  review: null,
  version: 1,
  ...more,
})

/** What else somebody sees who looks at one request. */
const DETAIL = {
  approvals: [],
  risk: null,
  decisionPath: { controlOwner: 'payments', approverTeams: ['payments'], operator: 'dave' },
}

const pending = (missing: string[]) => request('pending', { ...DETAIL, missing })

type World = { api: FakeApi; cli: Cli; calls: () => string[]; asked: (path: string) => Asked | undefined }

/** An API at which `states` are what the request is in, look by look. */
async function world(
  t: TestContext,
  states: (() => Reply)[] = [() => ({ status: 201, body: request('granted') })],
): Promise<World> {
  const api = await fakeApi(t, 7332)
  const runtime = await folderOf(t)
  const cli = await cliFor(t, {
    REEVE_ADDR: api.url,
    REEVE_TOKEN: 'tok-1',
    XDG_RUNTIME_DIR: runtime,
    PGPASSWORD: 'inherited',
  })
  cli.env['REEVE_CACERT'] = api.authority.certificateFile
  let looks = 0
  api.answer = async ({ method, path, body }) => {
    if (path === '/v1/requests' || path === `/v1/requests/${REQUEST}`) {
      const state = states[Math.min(looks, states.length - 1)]
      looks += 1
      return state?.() ?? { status: 500 }
    }
    if (path.startsWith('/v1/targets/orders/accounts'))
      return problemReply(403, 'not-permitted', 'No policy permits this.')
    if (path === `/v1/grants/${GRANT}/keys`) return { status: 201, body: await issued(api, body) }
    if (path.endsWith('/heartbeat')) return { status: 200, body: { grantId: GRANT, expiresAt: AT, nextBefore: AT } }
    return method === 'POST' ? { status: 200, body: {} } : { status: 404 }
  }
  return {
    api,
    cli,
    calls: () => api.asked.map(({ path }) => path.replace('/v1/', '').replace(GRANT, 'g').replace(REQUEST, 'r')),
    asked: (path) => api.asked.find((call) => call.path === path),
  }
}

async function issued(api: FakeApi, body: unknown) {
  const { publicKey } = body as { publicKey: string }
  const spki = createPublicKey(publicKey).export({ type: 'spki', format: 'der' })
  const { cert } = await api.authority.issueClient({ spki, commonName: 'alice', ttlSeconds: 600 })
  const more = { firstUseBefore: AT, isSingleUse: false, expiresAt: AT }
  return {
    id: ID,
    grantId: GRANT,
    user: 'app@orders',
    certificate: cert,
    authority: api.authority.certificate,
    ...more,
  }
}

const ASK = 'access request --target orders --account app --action postgres.read --purpose support -o name'.split(' ')
const RUN = ['run', '--on', 'orders:app', '--for', 'support']
/** Writes what it was given, looked at from inside the command. */
const LOOK = `
const fs = require('node:fs')
const pick = Object.fromEntries(Object.entries(process.env).filter(([n]) => /^(PG|REEVE_)/.test(n)))
const files = ['PGSSLKEY', 'PGSSLCERT', 'PGSSLROOTCERT'].map((n) => process.env[n])
const mode = (path) => (fs.statSync(path).mode & 0o777).toString(8)
const seen = { pick, modes: files.map(mode), folder: mode(require('node:path').dirname(files[0])), key: fs.readFileSync(files[0], 'utf8'),
  cert: fs.readFileSync(files[1], 'utf8') }
fs.writeFileSync(process.argv[1], JSON.stringify(seen))
process.exit(7)`

test('the command gets a certificate of its own, no password and no token, and its exit code is passed on', async (t) => {
  const { cli, api, calls, asked } = await world(t)
  const seenFile = join(cli.folder, 'seen')

  const { code, stderr } = await cli.run(
    ...RUN,
    '--ttl',
    '15m',
    '--ticket',
    'CHG-1',
    '--',
    process.execPath,
    '-e',
    LOOK,
    seenFile,
  )

  assert.equal(code, 7, stderr)
  const seen = JSON.parse(readFileSync(seenFile, 'utf8'))
  assert.deepEqual(Object.keys(seen.pick).toSorted(), [
    'PGHOST',
    'PGPORT',
    'PGSSLCERT',
    'PGSSLKEY',
    'PGSSLMODE',
    'PGSSLROOTCERT',
    'PGUSER',
    'REEVE_ADDR',
    'REEVE_CACERT',
    'REEVE_CONTEXTS',
  ])
  const { PGHOST, PGPORT, PGUSER, PGSSLMODE } = seen.pick
  assert.deepEqual([PGHOST, PGPORT, PGUSER, PGSSLMODE], ['127.0.0.1', '7332', 'app@orders', 'verify-full'])
  assert.deepEqual([seen.modes, seen.folder], [['600', '600', '600'], '700'])
  assert.match(seen.key, /BEGIN PRIVATE KEY/)
  assert.deepEqual(asked('/v1/requests')?.body, {
    target: 'orders',
    account: 'app',
    purpose: 'support',
    actions: ['postgres.read'],
    isKeptAlive: true,
    ticket: 'CHG-1',
    ttlSeconds: 900,
  })
  assert.ok(!JSON.stringify(api.asked).includes('PRIVATE KEY'))
  assert.deepEqual(
    calls().filter((call) => /requests|keys|done/.test(call)),
    ['requests', 'grants/g/keys', 'grants/g/done'],
  )
  assert.ok(calls().includes('grants/g/heartbeat'))
  assert.deepEqual(readdirSync(cli.env['XDG_RUNTIME_DIR'] ?? ''), [])
})

test('what would lead libpq past the gateway is not inherited', () => {
  const credentials = { user: 'app@orders', keyFile: 'k', certificateFile: 'c', authorityFile: 'a' }
  const inherited = {
    PGHOSTADDR: '10.0.0.1',
    PGSERVICE: 'prod',
    PGPASSFILE: '/x',
    PGPASSWORD: 'p',
    PGSSLMODE: 'disable',
    PGHOST: 'db',
    PGSSLCERTMODE: 'disable',
    PGOPTIONS: '-c x=y',
    PGSSLNEGOTIATION: 'direct',
    PGDATABASE: 'old',
    HOME: '/h',
    REEVE_TOKEN: 't',
    REEVE_CLIENT_KEY: '/k',
  }
  const env = runEnvironment(inherited, credentials, { host: 'gw', port: 1, database: 'new' })

  assert.deepEqual(env, {
    PGOPTIONS: '-c x=y',
    PGSSLNEGOTIATION: 'direct',
    HOME: '/h',
    PGHOST: 'gw',
    PGPORT: '1',
    PGUSER: 'app@orders',
    PGDATABASE: 'new',
    PGSSLMODE: 'verify-full',
    PGSSLCERT: 'c',
    PGSSLKEY: 'k',
    PGSSLROOTCERT: 'a',
  })
})

test('what a target only warns of is said on standard error, and the command runs', async (t) => {
  const warnings = ['This target only warns; it would have been refused: A reason is needed.']
  const warned = () => ({ status: 201, body: request('granted', { mode: 'warn', waived: [], warnings }) })

  const { cli } = await world(t, [warned])
  const ran = await cli.run(...RUN, '--', 'true')
  const asked = await cli.run(...ASK)

  assert.deepEqual([ran.code, asked.code], [0, 0])
  for (const { stderr } of [ran, asked])
    assert.match(stderr, /only warns; it would have been refused: A reason is needed\./)
})

test('a grant that is shorter than --ttl asked for is said; one that nobody asked a time of is not', async (t) => {
  const shortened = () => ({ status: 201, body: request('granted', { askedTtlSeconds: 8 * 3600 }) })

  for (const [typed, said] of [
    [['--ttl', '8h'], 'You asked for 8h; the policies allow 1h.\n'],
    [[], ''],
  ] as const) {
    const { cli } = await world(t, [shortened])
    const ran = await cli.run(...RUN, ...typed, '--', 'true')
    const asked = await cli.run(...ASK, ...typed)

    assert.deepEqual([ran.code, asked.code], [0, 0])
    assert.deepEqual(
      [ran, asked].map(({ stderr }) => /^You asked.*\n/m.exec(stderr)?.[0] ?? ''),
      [said, said],
    )
  }
})

test('it waits for an approval and says for whose', async (t) => {
  const { cli, calls } = await world(t, [
    () => ({ status: 201, body: request('pending') }),
    () => ({ status: 200, body: pending(['1 of team payments: bob or \u001b[2Jcarol']) }),
    () => ({ status: 200, body: pending(['1 of team payments: bob or \u001b[2Jcarol']) }),
    () => ({ status: 200, body: request('granted', { ...DETAIL, missing: [] }) }),
  ])

  const { code, stderr } = await cli.run(...RUN, '--', 'true')

  assert.equal(code, 0)
  assert.equal(stderr.match(/Waiting for/g)?.length, 1)
  assert.match(stderr, /Waiting for: 1 of team payments: bob or \\u001b\[2Jcarol\n/)
  assert.equal(calls().filter((call) => call === 'requests/r').length, 3)
})

test('without waiting it ends with 4 and names the request; denied is 3, over is 5, and the command never ran', async (t) => {
  const cases: [state: Record<string, unknown>, args: string[], code: number, said: RegExp][] = [
    [request('pending'), ['--no-wait'], 4, new RegExp(REQUEST)],
    [request('denied', { refusal: 'not tonight' }), [], 3, /was denied\. not tonight/],
    [request('expired'), [], 5, /is over \(expired\)/],
    [request('void'), [], 5, /is over \(void\)/],
  ]
  for (const [body, args, code, said] of cases) {
    const { cli, calls } = await world(t, [() => ({ status: 201, body })])
    const ran = await cli.run(...RUN, ...args, '--', 'touch', join(cli.folder, 'ran'))
    assert.equal(ran.code, code, ran.stderr)
    assert.match(ran.stderr, said)
    assert.ok(!existsSync(join(cli.folder, 'ran')))
    assert.ok(!calls().includes('grants/g/keys'))
  }
})

test('nobody is asked for a command that cannot be started', async (t) => {
  const { cli, api } = await world(t)
  for (const name of ['no-such-program', './neither', '/etc']) {
    const { code, stderr } = await cli.run(...RUN, '--', name)
    assert.equal(code, 1)
    assert.match(stderr, /not installed|no program/)
  }
  assert.deepEqual(api.asked, [])
})

test('options behind -- belong to the command', async (t) => {
  const { cli } = await world(t)
  const out = join(cli.folder, 'args')
  const script = `require('node:fs').writeFileSync(process.argv[1], JSON.stringify(process.argv.slice(2)))`
  await cli.run(...RUN, '--', process.execPath, '-e', script, out, '--for', 'x', '--', '-o')
  assert.deepEqual(JSON.parse(readFileSync(out, 'utf8')), ['--for', 'x', '--', '-o'])
})

test('when the grant ends first, stderr says why and the command is not lied to about its own exit', async (t) => {
  const { cli, api } = await world(t)
  const before = api.answer
  const over = () =>
    problemReply(409, 'grant-over', 'Grant was revoked: left the team.', { grantId: GRANT, reason: 'revoked' })
  const file = join(cli.folder, 'go')
  api.answer = (asked) => (/(?:heartbeat|done)$/.test(asked.path) ? over() : before(asked))
  cli.onStderr = (text) => {
    if (text.includes('cut')) writeFileSync(file, '')
  }
  const script = `setInterval(() => { if (require('node:fs').existsSync(process.argv[1])) process.exit(3) }, 20)`

  const { code, stderr } = await cli.run(...RUN, '--', process.execPath, '-e', script, file)

  assert.equal(code, 3)
  assert.match(stderr, /reeve: Grant was revoked: left the team\. Its sessions are cut\./)
})

/** The real program in a process of its own, so that it can be sent signals. */
async function launched(t: TestContext, { cli }: World, ...args: string[]): Promise<ChildProcess> {
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'reeve.js')
  const env = Object.fromEntries(
    Object.entries(cli.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  const child = spawn(process.execPath, [program, ...args], { env, cwd: cli.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

test('a signal reaches the command, ends the grant, and the exit code says which it was', async (t) => {
  const w = await world(t)
  const child = await launched(
    t,
    w,
    ...RUN,
    '--',
    process.execPath,
    '-e',
    'console.log("up"); setInterval(() => {}, 1000)',
  )
  await once(child.stdout ?? child, 'data')

  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')

  assert.equal(code, 143)
  assert.equal(w.calls().at(-1), 'grants/g/done')
  assert.deepEqual(readdirSync(w.cli.env['XDG_RUNTIME_DIR'] ?? ''), [])
})

test('who stops waiting withdraws the request', async (t) => {
  const waiting = [
    () => ({ status: 201, body: request('pending') }),
    () => ({ status: 200, body: pending(['1 of team payments']) }),
  ]
  const w = await world(t, waiting)
  const child = await launched(t, w, ...RUN, '--', 'true')
  await once(child.stderr ?? child, 'data')

  child.kill('SIGINT')
  const [code] = await once(child, 'exit')

  assert.equal(code, 130)
  assert.equal(w.calls().at(-1), 'requests/r/withdraw')
})
