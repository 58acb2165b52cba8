import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { freshDatabase } from '../../test/support/database.ts'
import { clientConfig, joinFirst, transact, type Db, type Tx } from './db.ts'

test('what arrives in the binary format is refused, never taken for a text', async (t) => {
  const { server } = await freshDatabase(t)
  // What PGBINARY in the environment does to every connection.
  const client = new pg.Client(Object.assign(clientConfig(server), { binary: true }))
  await client.connect()
  try {
    for (const value of [
      `'\\x01ff00c3'::bytea`,
      `1::int8`,
      `'01a2018d-35f2-73b7-8e66-7e489a34b79b'::uuid`,
      `'é'::text`,
    ]) {
      await assert.rejects(client.query(`select ${value} as it where $1`, [true]), /binary format/, value)
    }
    assert.deepEqual((await client.query(`select '\\x01'::bytea as it`)).rows, [{ it: Buffer.of(1) }])
  } finally {
    await client.end()
  }
})

/** Which transaction each step was in; a step that was rolled back is in none. */
async function steps(db: Db, work: (step: (name: string) => (tx: Tx) => Promise<void>) => Promise<unknown>) {
  const ids = new Map<string, string>()
  const step = (name: string) => async (tx: Tx) => {
    const { rows } = await sql<{ id: string }>`select pg_current_xact_id()::text as id`.execute(tx)
    ids.set(name, rows[0]?.id ?? '')
  }
  const end = await work(step).then(
    () => 'done',
    (error: unknown) => (error instanceof Error ? error.message : ''),
  )
  const committed = new Map<string, string>()
  for (const [name, id] of ids) {
    const { rows } = await sql<{ status: string }>`select pg_xact_status(${id}::xid8) as status`.execute(db)
    if (rows[0]?.status === 'committed') committed.set(name, id)
  }
  return { end, committed }
}

test('what is joined is in the first transaction of the work and in no other, whatever else runs at the same time', async (t) => {
  const { db } = await freshDatabase(t)

  const { committed } = await steps(db, (step) =>
    Promise.all([
      joinFirst(db, step('also'), async () => {
        await transact(db, step('first'))
        await transact(db, step('second'))
      }),
      transact(db, step('beside')),
    ]),
  )

  assert.equal(committed.size, 4)
  assert.equal(committed.get('also'), committed.get('first'))
  assert.equal(new Set(committed.values()).size, 3)
})

test('what is joined fails with the work that carries it, and the work with it', async (t) => {
  const { db } = await freshDatabase(t)
  const failing = () => Promise.reject(new Error('no'))

  const ofWork = await steps(db, (step) => joinFirst(db, step('also'), () => transact(db, failing)))
  const ofJoined = await steps(db, (step) => joinFirst(db, failing, () => transact(db, step('first'))))

  assert.deepEqual([ofWork.end, ofWork.committed.size], ['no', 0])
  assert.deepEqual([ofJoined.end, ofJoined.committed.size], ['no', 0])
})

test('what is joined to work that writes nothing has a transaction of its own, after it; a first one that failed leaves it to the next', async (t) => {
  const { db } = await freshDatabase(t)
  const failing = () => Promise.reject(new Error('no'))

  const alone = await steps(db, (step) => joinFirst(db, step('also'), async () => 'read'))
  const second = await steps(db, (step) =>
    joinFirst(db, step('also'), async () => {
      await assert.rejects(transact(db, failing))
      await transact(db, step('next'))
    }),
  )

  assert.deepEqual([...alone.committed.keys()], ['also'])
  assert.equal(second.committed.get('also'), second.committed.get('next'))
})
