import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import pg from 'pg'
import { clientConfig, type Connection } from '../db.ts'
import { silentLog } from '../log.ts'
import { Secret } from '../secret.ts'
import { sleep } from '../timer.ts'
import { asAccount, chooseAccount } from './account.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres } from './embedded.ts'
import { CannotStartPostgres } from './failure.ts'
import { findPostmaster, stopPostmaster } from './postmaster.ts'

const QUICK = { fsync: 'off' }

/** A home after its first start. Tests run one after another and leave it stopped; only the first ones need a new one. */
let made: string

before(async () => {
  made = mkdtempSync(join(tmpdir(), 'reeve-home-'))
  chmodSync(made, 0o711)
  await (await start(made))[Symbol.asyncDispose]()
})
after(() => rmSync(made, { recursive: true, force: true }))

test('a cold start makes a cluster that only passwords open, on a socket only', async (t) => {
  const home = newHome(t)

  await using postgres = await start(home)

  const [facts] = await rows(
    postgres.connection('owner'),
    `select current_setting('listen_addresses') as listen, current_setting('data_checksums') as checksums,
            current_setting('password_encryption') as hashing, current_setting('server_encoding') as encoding,
            (select datlocale from pg_database where datname = current_database()) as locale,
            (select string_agg(distinct auth_method, ',') from pg_hba_file_rules) as methods`,
  )
  assert.deepEqual(facts, {
    listen: '',
    checksums: 'on',
    hashing: 'scram-sha-256',
    encoding: 'UTF8',
    locale: 'C.UTF-8',
    methods: 'scram-sha-256',
  })
  const guess = { ...postgres.connection('owner'), password: new Secret('guess') }
  await assert.rejects(rows(guess, 'select 1'), { code: '28P01' })
})

test('the data stays durable unless a test says otherwise', async (t) => {
  const home = newHome(t)

  await using postgres = await startEmbeddedPostgres({ folder: home, log: silentLog })

  const [facts] = await rows(
    postgres.connection('owner'),
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
            current_setting('full_page_writes') as pages`,
  )
  assert.deepEqual(facts, { fsync: 'on', commit: 'on', pages: 'on' })
})

test('files are private: to the database what is its own, to us the passwords', async (t) => {
  const home = usedHome(t)

  await using postgres = await start(home)

  const account = chooseAccount(join(home, 'cluster', 'data'))
  const told = (path: string) => ({ mode: statSync(path).mode & 0o777, uid: statSync(path).uid })
  assert.notEqual(account.uid, 0)
  assert.deepEqual(told(join(home, 'cluster', 'data')), { mode: 0o700, uid: account.uid })
  assert.deepEqual(told(postgres.socketFolder), { mode: 0o700, uid: account.uid })
  assert.deepEqual(told(join(home, 'cluster', 'passwords.json')), { mode: 0o600, uid: process.getuid?.() })
  assert.deepEqual(told(postgres.logFile), { mode: 0o600, uid: process.getuid?.() })
})

test('what the server role tries beyond its rights is refused', async (t) => {
  await using postgres = await start(usedHome(t))
  await rows(postgres.connection('owner'), 'create table guarded (x int)')
  const server = postgres.connection('server')

  const refused = { code: '42501' }
  await assert.rejects(rows(server, 'create table mine (x int)'), refused)
  await assert.rejects(rows(server, 'create temporary table mine (x int)'), refused)
  await assert.rejects(rows(server, 'create schema mine'), refused)
  await assert.rejects(rows(server, 'create role other'), refused)
  await assert.rejects(rows(server, 'alter table guarded disable trigger all'), refused)
  await assert.rejects(rows(server, 'set role reeve_owner'), refused)
  await assert.rejects(rows(server, `copy (select 1) to program 'id'`), refused)
  await assert.rejects(rows({ ...server, database: 'postgres' }, 'select 1'), refused)
})

test('neither our environment nor a password reaches the database process or its log', async (t) => {
  process.env['REEVE_TEST_SECRET'] = 'hunter-environment'
  t.after(() => delete process.env['REEVE_TEST_SECRET'])
  const home = usedHome(t)
  await using postgres = await start(home)

  await assert.rejects(rows(postgres.connection('owner'), `alter role nobody_here password 'hunter-statement'`))

  const log = readFileSync(postgres.logFile, 'utf8')
  assert.match(log, / 42704 reeve_owner@reeve ERROR: /)
  assert.doesNotMatch(log, /hunter/)
  const { pid } = running(home)
  const passwords = [postgres.connection('owner'), postgres.connection('server')].map((c) => c.password.reveal())
  for (const word of ['hunter', ...passwords]) {
    assert.ok(!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(word))
    assert.ok(!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word))
  }
})

test('two nodes that start cold at once share one cluster, and the last one stops it', async (t) => {
  const home = newHome(t)

  const [first, second] = await Promise.all([start(home), start(home)])
  await rows(first.connection('owner'), 'create table shared (x int)')
  assert.deepEqual(await rows(second.connection('owner'), 'table shared'), [])

  const { pid } = running(home)
  await first[Symbol.asyncDispose]()
  assert.equal(running(home).pid, pid)
  assert.deepEqual(await rows(second.connection('owner'), 'table shared'), [])
  await second[Symbol.asyncDispose]()
  assert.equal(findPostmaster(dataOf(home)), undefined)
})

test('of nodes that leave together exactly one stops the postmaster', async (t) => {
  const home = usedHome(t)
  const nodes = await Promise.all([start(home), start(home), start(home)])

  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))

  assert.equal(findPostmaster(dataOf(home)), undefined)
})

test('a node that starts while the last one leaves has a database all the same', async (t) => {
  const home = usedHome(t)
  let leaving = await start(home)

  for (let turn = 0; turn < 8; turn++) {
    const [, next] = await Promise.all([leaving[Symbol.asyncDispose](), sleep(turn * 8).then(() => start(home))])
    assert.deepEqual(await eventually(() => rows(next.connection('server'), 'select 1 as one')), [{ one: 1 }])
    leaving = next
  }

  await leaving[Symbol.asyncDispose]()
  assert.equal(findPostmaster(dataOf(home)), undefined)
})

test('a second process attaches, and leaving does not stop what the first one uses', async (t) => {
  const home = usedHome(t)
  await using postgres = await start(home)
  const { pid } = running(home)

  const node = await nodeProcess(t, home)
  node.kill('SIGTERM')
  await once(node, 'exit')

  assert.equal(running(home).pid, pid)
  assert.deepEqual(await rows(postgres.connection('server'), 'select 1 as one'), [{ one: 1 }])
})

test('a postmaster that is killed comes back with what was committed', async (t) => {
  const home = usedHome(t)
  await using postgres = await start(home)
  await rows(postgres.connection('owner'), 'create table kept as select 7 as x')
  const { pid } = running(home)

  process.kill(pid, 'SIGKILL')

  assert.deepEqual(await eventually(() => rows(postgres.connection('owner'), 'table kept')), [{ x: 7 }])
  assert.notEqual(running(home).pid, pid)
})

test('two nodes bring a killed postmaster back once', async (t) => {
  const home = usedHome(t)
  await using first = await start(home)
  await using second = await start(home)
  const { pid } = running(home)

  process.kill(pid, 'SIGKILL')

  const started = `select pg_postmaster_start_time()::text as at`
  const seen = await eventually(() => rows(first.connection('owner'), started))
  assert.deepEqual(await eventually(() => rows(second.connection('owner'), started)), seen)
  assert.notEqual(running(home).pid, pid)
})

test('the next start adopts the postmaster of a node that was killed', async (t) => {
  const home = usedHome(t)
  const node = await nodeProcess(t, home)
  const { pid } = running(home)
  node.kill('SIGKILL')
  await once(node, 'exit')
  assert.equal(running(home).pid, pid)

  const postgres = await start(home)

  assert.equal(running(home).pid, pid)
  process.kill(pid, 'SIGKILL')
  assert.deepEqual(await eventually(() => rows(postgres.connection('server'), 'select 1 as one')), [{ one: 1 }])
  await postgres[Symbol.asyncDispose]()
  assert.equal(findPostmaster(dataOf(home)), undefined)
})

test('a pid file that outlived everything is no obstacle', async (t) => {
  const home = usedHome(t)
  const node = await nodeProcess(t, home)
  const { pid } = running(home)
  node.kill('SIGKILL')
  process.kill(pid, 'SIGKILL')
  await once(node, 'exit')
  assert.ok(existsSync(join(dataOf(home), 'postmaster.pid')))

  await using postgres = await start(home)

  assert.deepEqual(await rows(postgres.connection('server'), 'select 1 as one'), [{ one: 1 }])
})

test('a stranger who got the number in the lock files is neither taken for the postmaster nor harmed', async (t) => {
  const home = usedHome(t)
  const account = chooseAccount(dataOf(home))
  const stranger = spawn('sleep', ['600'], { ...asAccount(account), stdio: 'ignore' })
  t.after(() => stranger.kill('SIGKILL'))
  await once(stranger, 'spawn')
  const lines = [stranger.pid, dataOf(home), 1, 5432, join(home, 'run'), '', '1 1', 'ready', '']
  writeFileSync(join(dataOf(home), 'postmaster.pid'), lines.join('\n'))
  writeFileSync(join(home, 'run', '.s.PGSQL.5432.lock'), lines.join('\n'))

  const postgres = await start(home)
  assert.deepEqual(await rows(postgres.connection('server'), 'select 1 as one'), [{ one: 1 }])
  await postgres[Symbol.asyncDispose]()

  assert.equal(stranger.exitCode ?? stranger.signalCode, null)
})

test('a home too deep for a socket name gets a short private folder', async (t) => {
  const home = join(newHome(t), 'deep'.repeat(30))

  await using postgres = await start(home)
  t.after(() => rmSync(postgres.socketFolder, { recursive: true, force: true }))

  assert.ok(`${postgres.socketFolder}/.s.PGSQL.5432`.length <= 107)
  assert.deepEqual(await rows(postgres.connection('server'), 'select 1 as one'), [{ one: 1 }])
})

test('data of another major version is refused with what to do', async (t) => {
  const home = newHome(t)
  mkdirSync(dataOf(home), { recursive: true })
  writeFileSync(join(dataOf(home), 'PG_VERSION'), '17\n')

  await assert.rejects(start(home), {
    failure: 'wrong-version',
    message: /PostgreSQL 17.*brings PostgreSQL 18.*pg_upgrade/s,
  })
})

test('a home without its passwords or with a stranger’s is refused', async (t) => {
  const home = usedHome(t)
  const path = join(home, 'cluster', 'passwords.json')
  const right = readFileSync(path)
  t.after(() => writeFileSync(path, right, { mode: 0o600 }))

  writeFileSync(path, JSON.stringify({ owner: 'x'.repeat(43), server: 'y'.repeat(43) }))
  await assert.rejects(start(home), { failure: 'damaged-folder', message: /does not know the passwords/ })
  assert.equal(findPostmaster(dataOf(home)), undefined)
  rmSync(path)
  await assert.rejects(start(home), { failure: 'damaged-folder', message: /missing or damaged/ })
})

test('a home that cannot be written is named', async (t) => {
  const file = join(newHome(t), 'file')
  writeFileSync(file, '')

  await assert.rejects(start(join(file, 'home')), { failure: 'unwritable-folder', message: /REEVE_DATABASE_URL/ })
})

test(
  'root is told when the account it drops to cannot reach the home',
  { skip: process.getuid?.() !== 0 },
  async (t) => {
    const parent = newHome(t)
    chmodSync(parent, 0o700)

    await assert.rejects(start(join(parent, 'home')), (error) => {
      assert.ok(error instanceof CannotStartPostgres)
      assert.equal(error.failure, 'unreachable-folder')
      assert.ok(error.message.includes(`chmod o+x ${parent}`))
      return true
    })
  },
)

test('a setting PostgreSQL does not know ends the start with its sentence', async (t) => {
  const options = { folder: usedHome(t), log: silentLog, settings: { ...QUICK, max_connections: 'many' } }

  await assert.rejects(startEmbeddedPostgres(options), { failure: 'exited', message: /max_connections/ })
})

test('a start that is aborted leaves nothing running', async (t) => {
  const home = usedHome(t)

  for (const delayMs of [0, 5, 20, 40, 80]) {
    const abort = new AbortController()
    const starting = startEmbeddedPostgres({ folder: home, log: silentLog, settings: QUICK }, abort.signal)
    await sleep(delayMs)
    abort.abort(new Error('enough'))
    const postgres = await starting.catch((error: unknown) => assert.match(String(error), /enough/))
    await postgres?.[Symbol.asyncDispose]()
    assert.equal(findPostmaster(dataOf(home)), undefined)
  }
})

function start(home: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ folder: home, log: silentLog, settings: QUICK })
}

/** Another Reeve process: starts the same home, says so, and leaves in order on SIGTERM. */
async function nodeProcess(t: TestContext, home: string): Promise<ChildProcess> {
  const program = `
    import { startEmbeddedPostgres } from ${JSON.stringify(new URL('embedded.ts', import.meta.url).href)}
    import { silentLog } from ${JSON.stringify(new URL('../log.ts', import.meta.url).href)}
    const postgres = await startEmbeddedPostgres({ folder: ${JSON.stringify(home)}, log: silentLog, settings: { fsync: 'off' } })
    process.once('SIGTERM', () => postgres[Symbol.asyncDispose]())
    process.stdout.write('ready')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  assert.equal(String(said), 'ready')
  return child
}

async function rows(connection: Connection, sql: string): Promise<unknown[]> {
  const client = new pg.Client(clientConfig(connection))
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** What a pool does while its server restarts. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(20_000)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (signal.aborted) throw error
      await sleep(20)
    }
  }
}

function usedHome(t: TestContext): string {
  t.after(() => stopPostmaster(dataOf(made)))
  return made
}

function newHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'reeve-home-'))
  chmodSync(home, 0o711)
  t.after(async () => {
    if (existsSync(join(home, 'cluster'))) await stopPostmaster(dataOf(home))
    rmSync(home, { recursive: true, force: true })
  })
  return home
}

function dataOf(home: string): string {
  return join(home, 'cluster', 'data')
}

function running(home: string): { pid: number } {
  const postmaster = findPostmaster(dataOf(home))
  assert.ok(postmaster)
  return postmaster
}
