import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { freshDatabase } from '../../test/support/database.ts'
import { systemClock } from './clock.ts'
import { transact, type Db } from './db.ts'
import { enqueue, runJobs, unlockDeadJobs } from './jobs.ts'
import { silentLog } from './log.ts'
import { beat, openNode } from './nodes.ts'
import { systemRandom } from './random.ts'

const clock = { ...systemClock, offsetMs: () => 0 }
const noPool = async () => undefined
const as = { name: 'n', roles: ['worker'], version: '0' }

test('a job runs once its transaction has committed, and not when it rolls back', async (t) => {
  const { db, server } = await freshDatabase(t)
  const seen: unknown[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const tasks = {
    look: async (payload: unknown) => {
      seen.push(payload)
      if (seen.length === 2) resolve()
    },
  }
  await using jobs = await runJobs({ connection: server, tasks, log: silentLog, onPool: noPool })
  void jobs

  await assert.rejects(
    transact(db, async (tx) => {
      await enqueue(tx, 'look', { at: 'never' })
      throw new Error('rolled back')
    }),
  )
  await transact(db, (tx) => enqueue(tx, 'look', { at: 1 }))
  await transact(db, (tx) => enqueue(tx, 'look', { at: 2 }))
  await promise

  assert.deepEqual(
    seen.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    [{ at: 1 }, { at: 2 }],
  )
})

test('several jobs with one key that have not begun are one, at the latest time given', async (t) => {
  const { db } = await freshDatabase(t)
  const runAt = new Date('2040-01-01')

  await transact(db, (tx) => enqueue(tx, 'look', 1, { key: 'k' }))
  await transact(db, (tx) => enqueue(tx, 'look', 2, { key: 'k', runAt }))

  const { rows } = await sql`select payload, run_at from graphile_worker._private_jobs`.execute(db)
  assert.deepEqual(rows, [{ payload: 2, runAt }])
})

test('jobs go on after the database cut all their connections', async (t) => {
  const { db, server } = await freshDatabase(t)
  const done: unknown[] = []
  let heard: () => void = () => undefined
  const tasks = {
    look: async (payload: unknown) => {
      done.push(payload)
      heard()
    },
  }
  await using jobs = await runJobs({ connection: server, tasks, log: silentLog, onPool: noPool })
  void jobs

  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and usename = current_user`.execute(db)
  const ran = new Promise<void>((resolve) => (heard = resolve))
  await transact(db, (tx) => enqueue(tx, 'look', 'after'))
  await ran

  assert.deepEqual(done, ['after'])
})

test('the jobs of a dead node are freed after 15 s, those of a living one never', async (t) => {
  const { db } = await freshDatabase(t)
  const needs = { db, clock, random: systemRandom, log: silentLog }
  await using living = await openNode(needs, as)
  await living.nameWorkerPool('pool-living')
  await using dead = await openNode(needs, as)
  await dead.nameWorkerPool('pool-dead')
  for (const pool of ['pool-living', 'pool-dead', 'pool-of-nobody']) await lockedJob(db, pool, 60)
  await lockedJob(db, 'pool-new', 1)
  await sql`update node set heartbeat_at = now() - interval '16 seconds' where worker_pool = 'pool-dead'`.execute(db)

  await beat(needs, living.id)

  assert.deepEqual(await locks(db), ['pool-living', 'pool-new'])
  assert.equal(await unlockDeadJobs(db), 0)
})

test('a node that stops says so, and its jobs are free at once', async (t) => {
  const { db } = await freshDatabase(t)
  const needs = { db, clock, random: systemRandom, log: silentLog }
  const node = await openNode(needs, as)
  await node.nameWorkerPool('pool-stopped')
  await lockedJob(db, 'pool-stopped', 60)

  await node[Symbol.asyncDispose]()

  const { stoppedAt } = await db.selectFrom('node').selectAll().where('id', '=', node.id).executeTakeFirstOrThrow()
  assert.ok(stoppedAt)
  assert.equal(await unlockDeadJobs(db), 1)
  assert.deepEqual(await locks(db), [])
})

async function lockedJob(db: Db, pool: string, agoSeconds: number): Promise<void> {
  await transact(db, (tx) => enqueue(tx, 'look', { pool }, { key: pool }))
  await sql`
    update graphile_worker._private_jobs
       set locked_by = ${pool}, locked_at = now() - make_interval(secs => ${agoSeconds})
     where key = ${pool}`.execute(db)
}

async function locks(db: Db): Promise<string[]> {
  const { rows } = await sql<{ pool: string }>`
    select locked_by as pool from graphile_worker._private_jobs where locked_by is not null order by 1`.execute(db)
  return rows.map(({ pool }) => pool)
}
