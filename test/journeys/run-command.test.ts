import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { approveRequest, denyRequest, listGrants, listRequests, type Grant } from '../../src/access/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile, installation, type Installation } from '../support/installation.ts'
import { reeve, startReeve } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

const cleaning = cleaningOfFile()
let here: Installation
let script: string

before(async () => {
  here = await installation(cleaning)
  script = join(here.folder, 'command.mjs')
  writeFileSync(script, SCRIPT)
})

after(() => cleaning.now())

/** A program that knows nothing of us: it reads libpq's variables, as any driver does, and says what it found. */
const SCRIPT = `
import { readFileSync } from 'node:fs'
import pg from ${JSON.stringify(import.meta.resolve('pg'))}
const { PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLCERT, PGSSLKEY, PGSSLROOTCERT } = process.env
const read = (path) => readFileSync(path, 'utf8')
const client = new pg.Client({
  host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE,
  ssl: { cert: read(PGSSLCERT), key: read(PGSSLKEY), ca: read(PGSSLROOTCERT) },
})
client.on('error', () => undefined)
await client.connect()
const [sql, code] = process.argv.slice(2)
process.on('SIGTERM', () => { console.log('told to stop'); process.exit(9) })
console.log('connected')
try {
  const { rows } = await client.query(sql)
  console.log(JSON.stringify({ rows, env: process.env }))
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
await client.end().catch(() => undefined)
process.exitCode = Number(code ?? 0)
`

const ON = ['run', '--on', 'shop-db:app', '--for', 'shop-operations']
const COUNT = 'select count(*)::int as count from shop.orders'
const WRITE = [...ON, '--action', 'postgres.read', '--action', 'postgres.write', '--reason', 'a wrong order']

function behind(sql: string, code = '0'): string[] {
  return ['--', process.execPath, script, sql, code]
}

async function lastGrant(): Promise<Grant> {
  const { items } = await here.cast.ada.ask(listGrants, { query: { limit: 1 } })
  assert.ok(items[0])
  return items[0]
}

async function pendingOf(client: Client): Promise<{ id: string; boundSha256: string }> {
  return eventually(async () => (await client.ask(listRequests, { query: { view: 'inbox' } })).items[0])
}

test('a command reaches production by a certificate of its own: no password, no token of its caller, and its exit code is passed on', async () => {
  const { code, stdout, stderr } = await reeve(placeOf(here.folder, 'bob', here.cast.bob), [
    ...ON,
    ...behind(COUNT, '7'),
  ])

  assert.equal(code, 7, stderr)
  const said = z
    .object({ rows: z.array(z.object({ count: z.number() })), env: z.record(z.string(), z.string()) })
    .parse(JSON.parse(stdout.split('\n')[1] ?? ''))
  assert.deepEqual(said.rows, [{ count: 100 }])
  assert.deepEqual(
    Object.keys(said.env).filter((name) => /PASSWORD|PASSFILE|TOKEN|REEVE_CLIENT/.test(name)),
    [],
  )
  assert.equal(said.env['PGSSLMODE'], 'verify-full')
  assert.equal(existsSync(said.env['PGSSLKEY'] ?? ''), false, 'its key is gone with it')
  assert.equal((await lastGrant()).endReason, 'done')
})

test('a signal reaches the command, whose own exit code comes back, and the grant ends with it', async (t) => {
  const run = startReeve(t, placeOf(here.folder, 'bob', here.cast.bob), [...ON, ...behind('select pg_sleep(600)')])
  await run.printed(/connected/)

  run.kill('SIGTERM')

  assert.equal(await run.exit, 9, run.stderr())
  assert.match(run.stdout(), /told to stop/)
  assert.equal((await lastGrant()).endReason, 'done')
})

test('killed outright, the grant ends by missed heartbeat, and the command that was left behind is cut and told', async (t) => {
  const run = startReeve(t, placeOf(here.folder, 'bob', here.cast.bob), [...ON, ...behind('select pg_sleep(600)')])
  await run.printed(/connected/)
  const grant = await lastGrant()

  run.kill('SIGKILL')

  await run.printed(/57P01.*stopped saying that it lives/)
  const { endReason, endedAt } = await lastGrant()
  assert.equal(endReason, 'heartbeat-missed')
  assert.ok(endedAt && grant.endedAt === null)
  // The last beat came at most 5 s before, and the sweep looks each second.
  assert.ok(endedAt.getTime() - grant.startsAt.getTime() < 120_000)
})

test('it says for whom it waits, and goes on when one of them approves what was shown', async (t) => {
  const { bob, carol } = here.cast
  const update = `update shop.orders set amount = 1 where id = 1 returning id::int`
  const run = startReeve(t, placeOf(here.folder, 'carol', carol), [...WRITE, ...behind(update)])
  await run.said(/Waiting for: .*shop/)
  assert.equal(run.stdout(), '')
  const { id, boundSha256 } = await pendingOf(bob)

  await bob.ask(approveRequest, { params: { request: id }, input: { boundSha256 } })

  assert.equal(await run.exit, 0, run.stderr())
  assert.match(run.stdout(), /"rows":\[\{"id":1\}\]/)
})

test('denied it ends with 3 and the command never ran', async (t) => {
  const { bob, carol } = here.cast
  const run = startReeve(t, placeOf(here.folder, 'carol', carol), [...WRITE, ...behind(COUNT)])
  await run.said(/Waiting for/)
  const { id } = await pendingOf(bob)

  await bob.ask(denyRequest, { params: { request: id }, input: { comment: 'not on a Friday' } })

  assert.equal(await run.exit, 3)
  assert.equal(run.stdout(), '')
  assert.match(run.stderr(), /was denied/)
})

test('without waiting it ends with 4, names the request, and runs nothing', async () => {
  const { code, stdout, stderr } = await reeve(placeOf(here.folder, 'carol', here.cast.carol), [
    ...WRITE,
    '--no-wait',
    ...behind(COUNT),
  ])

  assert.deepEqual([code, stdout], [4, ''])
  assert.match(stderr, /Request [0-9a-f-]{36} waits for approval/)
})

test('what the grant does not cover is refused inside the command, with what to request', async () => {
  const { code, stdout } = await reeve(placeOf(here.folder, 'bob', here.cast.bob), [
    ...ON,
    ...behind('delete from shop.orders'),
  ])

  assert.equal(code, 0)
  assert.match(stdout, /"code":"42501".*postgres\.write/)
})

test('a pipeline proves itself by its key, names its ticket, and migrates with nobody in the loop', async () => {
  const place = placeOf(here.folder, 'pipeline', here.cast.pipeline)
  const schema = ['--action', 'postgres.schema', '--database', 'shop']
  const ask = ['run', '--on', 'shop-db:app', '--for', 'shop-releases', ...schema]
  const migration = behind('create index orders_customer on shop.orders (customer)')

  const without = await reeve(place, [...ask, ...migration])
  assert.equal(without.code, 3, without.stderr)
  assert.match(without.stderr, /ticket/)
  const { code, stderr } = await reeve(place, [...ask, '--ticket', 'OPS-4711', ...migration])
  assert.equal(code, 0, stderr)

  const keyless = { ...place.env, REEVE_CLIENT_CERT: '', REEVE_CLIENT_KEY: '' }
  const copied = await reeve({ ...place, env: keyless }, ['whoami'])
  assert.equal(copied.code, 3, 'its token alone is nothing')
})
