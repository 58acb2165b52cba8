import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestLedger, personNamed, rawClient, seen } from '../../test/support/ledger.ts'
import { cuttable } from '../../test/support/cuttable.ts'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import { unavailable } from '../kernel/problem.ts'
import { Batch, BatchMemory, SEGMENT_MAX_ENTRIES } from './batch.ts'
import { WAITING_MAX_ENTRIES } from './appender.ts'

test('an observation is durable when it is acknowledged, and many share a commit', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)

  await Promise.all(Array.from({ length: 1000 }, (_, at) => ledger.observe(seen('x', at))))

  const segments = await database.db.selectFrom('ledgerSegment').select('size').execute()
  assert.equal(
    segments.reduce((sum, { size }) => sum + size, 0),
    1000,
  )
  assert.ok(segments.length <= 4, `${segments.length} commits for 1000 observations of one turn`)
  assert.deepEqual(
    (await countsOf(database)).sort((a, b) => a - b),
    [...Array(1000).keys()],
  )
})

test('an observation with personal fields becomes an entry with its sealed opening', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)

  await ledger.observe({
    event: personNamed,
    actor: { id: '0199b1c2-0000-7000-8000-000000000001', kind: 'human' },
    resource: { type: 'Thing', id: 'thing' },
    outcome: 'done',
    facts: { email: 'ada@example.com' },
  })

  const entry = await database.db.selectFrom('ledgerEntry').select('leaf').executeTakeFirstOrThrow()
  assert.doesNotMatch(entry.leaf.toString(), /ada@/)
  assert.equal((await database.db.selectFrom('ledgerPrivate').select('field').execute()).length, 1)
})

test('observations survive connections that are cut under them, each of them once', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  const attacker = await rawClient(t, database.owner)

  const waits: Promise<void>[] = []
  for (let round = 0; round < 20; round++) {
    for (let at = 0; at < 50; at++) waits.push(ledger.observe(seen('x', round * 50 + at)))
    await attacker.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
                          and query like '%ledger_writer%' and pid <> pg_backend_pid()`)
  }
  await Promise.all(waits)

  assert.deepEqual(
    (await countsOf(database)).sort((a, b) => a - b),
    [...Array(1000).keys()],
  )
})

test('a batch that became durable though its connection broke before the answer is not written again', async (t) => {
  const database = await freshDatabase(t)
  const { connection, cut } = await cuttable(t, database.server)
  const { ledger } = await openTestLedger(t, database, { connection })
  const [owner, watcher] = [await rawClient(t, database.owner), await rawClient(t, database.owner)]
  const blocked = `select count(*)::int as n from pg_stat_activity where datname = current_database()
                      and wait_event_type = 'Lock' and query like '%ledger_writer%'`

  await owner.query('begin')
  await owner.query('select from ledger_writer for update')
  const observed = ledger.observe(seen('once', 1))
  while ((await watcher.query(blocked)).rows[0].n < 1);
  cut()
  while ((await watcher.query(blocked)).rows[0].n < 2);
  await owner.query('commit')
  await observed

  assert.deepEqual(await countsOf(database), [1])
})

test('what waits is bounded and the caller is told', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)

  const waits = Array.from({ length: WAITING_MAX_ENTRIES + 1 }, () => ledger.observe(seen('x')))

  await assert.rejects(waits.pop() ?? Promise.resolve(), (error: unknown) => unavailable.is(error))
  await Promise.all(waits)
})

test('after disposal nothing is taken and everything taken is durable', async (t) => {
  const database = await freshDatabase(t)
  const { ledger, close } = await openTestLedger(t, database)

  const waits = Array.from({ length: 3 * SEGMENT_MAX_ENTRIES }, (_, at) => ledger.observe(seen('x', at)))
  await close()
  await assert.rejects(ledger.observe(seen('late')), (error: unknown) => unavailable.is(error))

  await Promise.all(waits)
  assert.equal((await countsOf(database)).length, 3 * SEGMENT_MAX_ENTRIES)
})

test('a batch holds whole leaves up to its bounds and refuses what no tile can hold', () => {
  const batch = new Batch(new Date(0), new BatchMemory())

  assert.equal(batch.add('é'.repeat(32_767)), true)
  assert.throws(() => batch.add('é'.repeat(32_768)), RangeError)
  assert.equal(batch.bodies.readUInt16BE(0), 65_534)
  assert.equal(batch.size, 1)
  while (batch.add('x'.repeat(65_535)));
  assert.ok(batch.sizeBytes <= 8 * 1024 * 1024)
  assert.ok(batch.size < SEGMENT_MAX_ENTRIES)
})

test('a batch gets the memory of one that is written, and nothing of its content', () => {
  const memory = new BatchMemory()
  const first = new Batch(new Date(0), memory)
  first.add('x'.repeat(60_000))
  first.add('y'.repeat(60_000))
  const sharing = first.bodies.buffer
  first.release()
  const second = new Batch(new Date(0), memory)
  const third = new Batch(new Date(0), memory)

  second.add('z')
  third.add('a')

  assert.equal(first.sizeBytes, 0)
  assert.deepEqual(second.bodies, Buffer.from('\0\x01z'))
  assert.deepEqual(third.bodies, Buffer.from('\0\x01a'))
  assert.notEqual(second.bodies.buffer, third.bodies.buffer)
  assert.ok([second, third].some(({ bodies }) => bodies.buffer === sharing))
})

/** The `count` fact of every observation that is in the database, in order of commit. */
async function countsOf({ db }: TestDatabase): Promise<number[]> {
  const rows = await db.selectFrom('ledgerSegment').select(['size', 'bodies']).orderBy('id').execute()
  return rows.flatMap(({ size, bodies }) => {
    const counts: number[] = []
    for (let at = 0; at < bodies.length; at += 2 + bodies.readUInt16BE(at)) {
      counts.push(JSON.parse(bodies.toString('utf8', at + 2, at + 2 + bodies.readUInt16BE(at))).facts.count)
    }
    assert.equal(counts.length, size)
    return counts
  })
}
