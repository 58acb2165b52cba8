import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test, type TestContext } from 'node:test'
import pg from 'pg'
import { clientConfig } from '../../src/kernel/db.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { needs, PROGRAM, reeve, startReeve, type Background, type Ran } from '../support/program.ts'

const PROVISIONER = 'provisioner-of-the-journey'
const NEEDS_PSQL = needs('psql')

let folder = ''
let cluster: Cluster
let server: ChildProcess

/** A server of its own process, a PostgreSQL that plays production, and people who know both by the command line alone. */
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-journey-'))
  chmodSync(folder, 0o711)
  writeFileSync(
    join(folder, 'reeve.yaml'),
    'teams: {payments: {members: [alice, bob]}, security: {members: [alice]}}\n',
  )
  cluster = await startCluster()
  const client = new pg.Client(clientConfig(cluster.connection()))
  await client.connect()
  await client.query(`
    create role reader nologin; create role writer nologin;
    create role reeve_provisioner login createrole password '${PROVISIONER}';
    grant reader, writer to reeve_provisioner with admin option;
    grant pg_signal_backend to reeve_provisioner with admin option;
    create table orders (id int primary key); insert into orders values (1), (2), (3);
    grant select on orders to reader, writer; grant insert, delete on orders to writer`)
  await client.end()
  const link = await startServer()
  await enrolEverybody(link)
  await registerEverything()
})

after(async () => {
  const exited = once(server, 'exit')
  server.kill('SIGTERM')
  await exited
  await cluster[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function startServer(): Promise<string> {
  const home = join(folder, 'home')
  const args = ['start', '--config', join(folder, 'reeve.yaml'), '--set', `home=${home}`, '--set', 'api.port=0']
  server = spawn(process.execPath, [PROGRAM, ...args, '--set', 'gateways.postgres.port=0'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said: string[] = []
  for await (const line of createInterface({ input: server.stderr ?? process.stdin })) {
    said.push(line)
    const link = /'(https:\S+#enrol=\S+)'/.exec(line)?.[1]
    if (link === undefined) continue
    server.stderr?.resume()
    return link
  }
  throw new Error(`the server did not start:\n${said.join('\n')}`)
}

function environment(who: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: folder, REEVE_CONTEXTS: join(folder, who), XDG_RUNTIME_DIR: '' }
}

/** The words of `line`, then `more` as they are. */
function as(who: string, line: string, ...more: string[]): Promise<Ran> {
  return reeve({ folder, env: environment(who) }, [...line.split(' '), ...more])
}

async function done(who: string, line: string, ...more: string[]): Promise<unknown> {
  const ran = await as(who, line, ...more, '-o', 'json')
  assert.equal(ran.code, 0, `${line}\n${ran.stderr}`)
  return JSON.parse(ran.stdout)
}

async function enrolEverybody(founderLink: string): Promise<void> {
  assert.equal((await as('alice', 'enrol --name alice', founderLink)).code, 0)
  await done('alice', 'identity register --kind human --name bob --profile person')
  const bobs = (await done('alice', 'identity enrol bob')) as { link: string }
  assert.equal((await as('bob', 'enrol', bobs.link)).code, 0)
  const pipeline =
    'identity register --kind workload --name pipeline --profile pipeline --owner-team payments --owner bob'
  await done('alice', pipeline, '--purpose', 'migrates the orders')
  await done('bob', 'identity attest-owner pipeline')
  const pipelines = (await done('alice', 'identity enrol pipeline')) as { link: string }
  const enrolled = await as('pipeline', 'enrol --key', pipelines.link)
  assert.equal(enrolled.code, 0, enrolled.stderr)
}

async function registerEverything(): Promise<void> {
  writeFileSync(join(folder, 'login.json'), JSON.stringify({ user: 'reeve_provisioner', password: PROVISIONER }))
  const settings = { host: cluster.host, port: cluster.port, database: 'postgres', tls: { mode: 'disable' } }
  const target = 'target register --name orders --protocol postgres --environment production --owner-team payments'
  await done('alice', `${target} --provisioner-file login.json`, '--settings', JSON.stringify(settings))
  const roles = '--role postgres.read=reader --role postgres.write=writer'
  await done('alice', `account register orders --name app --mode lease --database postgres ${roles}`)
  const until = new Date(Date.now() + 86_400_000).toISOString()
  const covers = '--target orders --action postgres.read --action postgres.write'
  const purpose = `purpose propose --name support --owner-team payments ${covers} --expires-at ${until}`
  await done('alice', purpose, '--statement', 'helps customers')
  await done('bob', 'purpose approve support')
}

const READ = 'run --on orders:app --for support --'
const psql = (sql: string) => ['psql', '-XAtc', sql]

async function grants(): Promise<{ id: string; endReason: string | null; endedAt: string | null }[]> {
  const { items } = (await done('alice', 'grant list')) as { items: Awaited<ReturnType<typeof grants>> }
  return items
}

test('psql reads production under a grant that policy gave, and the grant ends with it', NEEDS_PSQL, async () => {
  const { code, stdout, stderr } = await as('bob', READ, ...psql('select count(*) from orders'))

  assert.deepEqual([code, stdout], [0, '3\n'], stderr)
  assert.equal((await grants())[0]?.endReason, 'done')
})

test('reeve psql finds the only account and the only purpose, and says what it took', NEEDS_PSQL, async () => {
  const { code, stdout, stderr } = await as('bob', 'psql orders --ttl 5m --', '-XAtc', 'select min(id) from orders')

  assert.deepEqual([code, stdout], [0, '1\n'], stderr)
  assert.match(stderr, /--account app[^]*--for support/)
})

test('a workload proves itself by its key, and its copied token proves nothing', NEEDS_PSQL, async () => {
  // It may not read the catalog, so it names the database.
  const run = 'run --on orders:app --for support --database postgres --'
  const honest = await as('pipeline', run, ...psql('select max(id) from orders where id < 3'))
  assert.deepEqual([honest.code, honest.stdout], [0, '2\n'], honest.stderr)

  const { contexts, current } = JSON.parse(readFileSync(join(folder, 'pipeline', 'contexts.json'), 'utf8'))
  const { address, authority, token } = contexts[current]
  writeFileSync(join(folder, 'ca.pem'), authority)
  const proof = { REEVE_ADDR: address, REEVE_TOKEN: token, REEVE_CACERT: join(folder, 'ca.pem') }
  const stolen = await reeve({ folder, env: { ...environment('thief'), ...proof } }, ['whoami'])
  assert.equal(stolen.code, 3)
})

test('what the grant does not cover is refused with what to request, and psql says so', NEEDS_PSQL, async () => {
  const { code, stderr } = await as('bob', READ, ...psql('delete from orders'))

  assert.equal(code, 1)
  assert.match(stderr, /postgres\.write/)
})

test('a write waits for another person and goes on when they approve what was shown', NEEDS_PSQL, async (t) => {
  const run = 'run --on orders:app --for support --action postgres.write --reason'
  const child = background(
    t,
    'alice',
    run,
    'a wrong order',
    '--',
    ...psql('delete from orders where id = 3 returning id'),
  )
  await child.said(/Waiting for: .*/)
  const inbox = (await done('bob', 'access list --view inbox')) as {
    items: { id: string; boundSha256: string }[]
  }
  const [waiting] = inbox.items
  assert.ok(waiting)
  assert.equal((await as('alice', `access approve ${waiting.id} --bound-sha256 ${waiting.boundSha256}`)).code, 3)

  await done('bob', `access approve ${waiting.id} --bound-sha256 ${waiting.boundSha256}`)

  assert.equal(await child.exit, 0, child.stderr())
  assert.match(child.stdout(), /^3\n/)
})

test('a revoked grant cuts psql in its query and says why; the exit code is psql’s', NEEDS_PSQL, async (t) => {
  const child = background(t, 'bob', READ, ...psql('select pg_sleep(120)'))
  const grant = await eventually(async () => (await grants()).find(({ endedAt }) => endedAt === null))
  await eventually(async () => {
    const sessions = (await done('alice', 'session list --live')) as { items: unknown[] }
    return sessions.items[0]
  })

  await done('alice', `grant revoke ${grant.id}`, '--reason', 'left the team')

  assert.equal(await child.exit, 2, child.stderr())
  assert.match(child.stderr(), /revoked/)
})

test('killed outright, it cannot end its grant: missed heartbeats do', NEEDS_PSQL, async (t) => {
  const child = background(t, 'bob', READ, ...psql('select pg_sleep(120)'))
  const grant = await eventually(async () => (await grants()).find(({ endedAt }) => endedAt === null))
  await eventually(async () => {
    const sessions = (await done('alice', 'session list --live')) as { items: unknown[] }
    return sessions.items[0]
  })
  child.kill('SIGKILL')

  const ended = await eventually(async () =>
    (await grants()).find(({ id, endedAt }) => id === grant.id && endedAt !== null),
  )

  assert.equal(ended.endReason, 'heartbeat-missed')
})

test('a session is played back for people, and its end is told', NEEDS_PSQL, async () => {
  await as('bob', READ, ...psql("select id from orders where id = 1 and 'personal' <> ''"))
  const { items } = (await done('alice', 'session list')) as { items: { id: string }[] }

  const { code, stdout, stderr } = await as('alice', `session play ${items[0]?.id}`)

  assert.equal(code, 0, stderr)
  assert.match(stdout, /who +bob \(human/)
  assert.match(stdout, /postgres\.read .* 1 rows/)
  assert.ok(!stdout.includes('personal'))
})

test('a log is followed by its tiles: text goes to the terminal, bytes to a file or a pipe', async () => {
  const file = join(folder, 'tile')

  const note = await as('alice', 'ledger note 1')
  const kept = await as('alice', 'ledger tile 1 0 000.p/2 -o', file)
  const missing = await as('alice', 'ledger bundle 1 x009/000 -o', file)

  assert.match(note.stdout, /^\S+\n\d+\n\S+=\n\n— \S+ \S+\n$/)
  assert.deepEqual([kept.code, kept.stdout, readFileSync(file).length], [0, '', 64])
  assert.notEqual(missing.code, 0)
  assert.match(missing.stderr, /x009\/000 yet/)
})

test('the ledger is exported and verified by the separate program; a second time against the checkpoint kept', async () => {
  const first = await as('alice', 'ledger verify')
  assert.equal(first.code, 0, first.stdout + first.stderr)
  assert.match(first.stderr, /key of the log was taken from the server itself/)
  const second = await as('alice', 'ledger verify')
  assert.equal(second.code, 0, second.stdout + second.stderr)
  assert.match(second.stdout, /checked: .*(?:truncat|checkpoint)/i)

  const file = join(folder, 'export')
  assert.equal((await as('alice', 'ledger export -o', file)).code, 0)
  writeFileSync(file, readFileSync(file, 'utf8').replace(/\{"leaf":3,[^\n]*\n/, ''))
  const [key] = ((await done('alice', 'ledger key')) as { items: { key: string }[] }).items
  const tampered = await as('alice', `ledger verify ${file} --key ${key?.key}`)
  assert.equal(tampered.code, 1)
  assert.match(tampered.stdout, /does NOT verify/)
})

test('a receipt stands alone on standard output', async () => {
  const { items } = (await done('alice', 'ledger list --order oldest --limit 1')) as {
    items: { id: number }[]
  }
  const { code, stdout, stderr } = await as('alice', `ledger prove ${items[0]?.id}`)
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^c2sp\.org\/tlog-proof@v1\n/)
  assert.match(stderr, /Entry \d+ of \d+/)
})

function background(t: TestContext, who: string, line: string, ...more: string[]): Background {
  return startReeve(t, { folder, env: environment(who) }, [...line.split(' '), ...more])
}

test('reeve connect reads a source in one go, says what it could not see, and the inventory says it too', async () => {
  writeFileSync(join(folder, 'password.txt'), `${PROVISIONER}\n`)
  const address = `postgres://reeve_provisioner@${cluster.host}:${cluster.port}/postgres`
  const where = '--owner-team payments --environment production --name orders-source --target orders --tls disable'

  const open = await as('alice', `connect ${where}`, address.replace('@', ':in-an-argument@'))
  const { code, stdout, stderr } = await as('alice', `connect ${where} --password-file password.txt`, address)

  assert.deepEqual([open.code, open.stderr.includes('--password-file')], [1, true])
  assert.equal(code, 0, stderr)
  assert.match(stderr, /PostgreSQL 18[^]*parts can be seen/)
  assert.match(stdout, /complete +cluster\/roles +\d+ things/)
  assert.match(stdout, /denied +cluster\/passwords[^]*it takes SELECT on pg_catalog\.pg_authid/)
  const list = 'inventory list principal --source orders-source --name reader'
  const { items, coverage } = (await done('alice', list)) as {
    items: { name: string; fields: { accountId: string | null } }[]
    coverage: { isWhole: boolean; unseen: { scope: string }[] }
  }
  assert.deepEqual([items.map(({ name }) => name), coverage.isWhole], [['reader'], false])
  assert.ok(coverage.unseen.some(({ scope }) => scope === 'cluster/passwords'))
  const exported = await as('alice', 'inventory export principal --source orders-source')
  assert.match(exported.stdout, /# not seen: orders-source cluster\/passwords denied/)
  assert.ok(!`${stdout}${stderr}${exported.stdout}`.includes(PROVISIONER))
})
