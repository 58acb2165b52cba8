import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { finishGrant, issueTicket, requestAccess } from '../../src/access/contract.ts'
import { openAuthority } from '../../src/kernel/ca.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { listSessions } from '../../src/sessions/contract.ts'
import { cleaningOfFile, installation, type Installation } from '../support/installation.ts'
import { reeve, type Place, type Ran } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

const cleaning = cleaningOfFile()
let here: Installation
let bob: Place

/** Debian's own server and clients: nothing here was made for us. */
before(async () => {
  here = await installation(cleaning, { binFolder: '/usr/lib/postgresql/15/bin' })
  bob = placeOf(here.folder, 'bob', here.cast.bob)
  await pgbenchTables()
})

after(() => cleaning.now())

const ON = ['run', '--on', 'shop-db:app', '--for', 'shop-operations']
const READ = { target: 'shop-db', account: 'app', actions: ['postgres.read'], purpose: 'shop-operations' }

/** The tables of pgbench, made past us as any database has tables that were there before. */
async function pgbenchTables(): Promise<void> {
  const { host, port, password } = here.production.cluster
  const env = { PATH: process.env.PATH, PGPASSWORD: password.reveal() }
  const made = await run('pgbench', ['-i', '-q', '-h', host, '-p', String(port), '-U', 'postgres', 'shop'], env)
  assert.equal(made.code, 0, made.stderr)
  const client = new pg.Client(clientConfig({ ...here.production.cluster.connection(), database: 'shop' }))
  await client.connect()
  await client.query('grant select on all tables in schema public to shop_reader')
  await client.end()
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { env, cwd: here.folder }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
    })
  })
}

const under = (...command: string[]) => reeve(bob, [...ON, '--', ...command])

test('reeve psql opens psql on the only account, for a purpose', async () => {
  const query = ['--', '-XAtc', 'select count(*) from shop.orders']
  const { code, stdout, stderr } = await reeve(bob, ['psql', 'shop-db', '--for', 'shop-operations', ...query])

  assert.deepEqual([code, stdout], [0, '100\n'], stderr)
})

test('psql describes, lists and copies as it does anywhere', async () => {
  const asked = ['\\dt shop.*', '\\d shop.orders', '\\du', '\\l', '\\dn+', '\\df', '\\dp shop.*', '\\conninfo']
  const shown = await under('psql', '-X', ...asked.flatMap((command) => ['-c', command]))
  const copied = await under('psql', '-XAt', '-c', '\\copy shop.orders to copied.csv csv')

  assert.equal(shown.code, 0, shown.stderr)
  assert.match(shown.stdout, /shop_owner[^]*SSL connection/)
  assert.deepEqual([copied.code, copied.stdout], [0, 'COPY 100\n'], copied.stderr)
})

test('psql’s own transaction stays true over a refusal: what follows is ignored, and the commit rolls back', async () => {
  const steps = ['begin', 'select 1', 'delete from shop.orders', 'select 2', 'commit']
  const { stdout, stderr } = await under('psql', '-XAt', ...steps.flatMap((step) => ['-c', step]))

  assert.equal(stdout, 'BEGIN\n1\nROLLBACK\n')
  assert.match(stderr, /reeve access request --target shop-db --account app --action postgres\.write/)
  assert.match(stderr, /current transaction is aborted/)
})

for (const mode of ['simple', 'extended', 'prepared']) {
  test(`pgbench -c 8 -S runs unchanged, ${mode}`, async () => {
    const load = ['pgbench', '-S', '-c', '8', '-j', '2', '-t', '100', '-M', mode]
    const { code, stdout, stderr } = await reeve(bob, [...ON, '--connections', '8', '--', ...load])

    assert.equal(code, 0, stderr)
    assert.match(stdout, /actually processed: 800\/800\n/)
    assert.match(stdout, /failed transactions: 0 /)
  })
}

test('more connections than the grant allows are refused with what to ask for', async () => {
  const { code, stderr } = await under('pgbench', '-n', '-S', '-c', '8', '-t', '1')

  assert.equal(code, 1)
  assert.match(stderr, /The grant allows 4 connection\(s\) at once, and all are open\. .*--connections/)
})

test('pg_dump dumps what may be read, whole; in several jobs it also needs to write, since it exports a snapshot', async () => {
  const dumped = await under('pg_dump', '--schema', 'shop', '--no-owner')
  const custom = await under('pg_dump', '-Fc', '-f', 'shop.dump', '--schema', 'shop')
  const jobs = ['pg_dump', '-Fd', '-j', '2', '-f', 'shop.dir', '--schema', 'shop']
  const parallel = await reeve(bob, [...ON, '--connections', '8', '--', ...jobs])

  assert.equal(dumped.code, 0, dumped.stderr)
  assert.match(dumped.stdout, /CREATE TABLE shop\.orders/)
  assert.equal(dumped.stdout.match(/\tcustomer-\d+\t/g)?.length, 100)
  assert.equal(custom.code, 0, custom.stderr)
  const restored = await run('pg_restore', ['--list', 'shop.dump'], { PATH: process.env.PATH })
  assert.match(restored.stdout, /TABLE DATA shop orders/)
  assert.equal(parallel.code, 1)
  assert.match(parallel.stderr, /not postgres\.write[^]*pg_export_snapshot/)
})

test('what is no session of a database is not brokered: replication, and other databases', async () => {
  const replicated = await under('pg_basebackup', '-D', 'stolen')
  const elsewhere = await under('psql', '-X', '-d', 'postgres', '-c', 'select 1')

  assert.match(replicated.stderr, /Replication connections are not brokered/)
  assert.match(elsewhere.stderr, /The account app of shop-db works in: shop\./)
  assert.deepEqual([replicated.code, elsewhere.code], [1, 2])
})

test('plain psql with a ticket: verified in full it reads; by another CA, in plain text or with another ticket it gets nothing', async () => {
  const { grantId } = await here.cast.bob.ask(requestAccess, { input: READ })
  const params = { grant: grantId ?? '' }
  const { user, ticket } = await here.cast.bob.ask(issueTicket, { params, input: {} })
  const own = join(here.folder, 'own-ca.pem')
  writeFileSync(own, here.door.ca)
  const needs = { clock: systemClock, random: systemRandom }
  const other = (await openAuthority(join(here.folder, 'other-ca'), needs)).certificateFile
  const psql = (more: string, password = ticket) => {
    const conninfo = `host=127.0.0.1 port=${here.door.port} dbname=shop user=${user} ${more}`
    const env = { PATH: process.env.PATH, HOME: here.folder, PGPASSWORD: password }
    return run('psql', ['-XAtc', 'select count(*) from shop.orders', conninfo], env)
  }

  const wrongCa = await psql(`sslmode=verify-full sslrootcert=${other}`)
  const plain = await psql('sslmode=disable')
  const guessed = await psql(`sslmode=verify-full sslrootcert=${own}`, `${ticket.slice(0, -2)}xx`)
  const honest = await psql(`sslmode=verify-full sslrootcert=${own}`)
  await here.cast.bob.ask(finishGrant, { params })
  const late = await psql(`sslmode=verify-full sslrootcert=${own}`)

  assert.deepEqual([honest.code, honest.stdout], [0, '100\n'], honest.stderr)
  assert.deepEqual(
    [wrongCa, plain, guessed, late].map(({ code }) => code),
    [2, 2, 2, 2],
  )
  assert.match(wrongCa.stderr, /certificate verify failed/)
  assert.match(plain.stderr, /TLS/)
  assert.match(guessed.stderr, /This proof opens nothing here/)
  const { items } = await here.cast.bob.ask(listSessions, { query: { grantId: params.grant } })
  assert.equal(items.length, 1)
})
