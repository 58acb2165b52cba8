import type { DatabaseClock } from './database-clock.ts'
import { transact, type Db } from './db.ts'
import { unlockDeadJobs } from './jobs.ts'
import type { Log } from './log.ts'
import { newId, type Random } from './random.ts'
import { every } from './timer.ts'

/** This process as the others see it. */
export type RunningNode = AsyncDisposable & {
  readonly id: string
  /** Says under which name this node locks jobs, so that they are freed when it dies. */
  nameWorkerPool(pool: string): Promise<void>
  /** Milliseconds since the database last took a heartbeat of ours. */
  silenceMs(): number
}

type Needs = {
  readonly db: Db
  readonly clock: Pick<DatabaseClock, 'now' | 'monotonicMs' | 'offsetMs'>
  readonly random: Random
  readonly log: Log
}

/** Five missed ones make a node dead (core 16). */
const BEAT_MS = 3_000

/** Architecture: a dead node's work is taken over within 15 s. */
export const NODE_DEAD_AFTER_SECONDS = 15

/** Registers this process, says every three seconds that it lives, and frees the jobs of nodes that no longer do. */
export async function openNode(
  needs: Needs,
  given: { readonly name: string; readonly roles: readonly string[]; readonly version: string },
): Promise<RunningNode> {
  const { db, clock, random, log } = needs
  const id = newId(clock, random)
  await register(needs, id, given)
  let heardAtMs = clock.monotonicMs()
  let isBeating = false
  const timer = every(BEAT_MS, () => {
    if (isBeating) return
    isBeating = true
    beat(needs, id)
      .then(
        () => {
          heardAtMs = clock.monotonicMs()
        },
        (error: unknown) => log.warn({ err: error }, 'the heartbeat of this node was not taken'),
      )
      .finally(() => {
        isBeating = false
      })
  })
  return {
    id,
    nameWorkerPool: (workerPool) => update(db, id, { workerPool }),
    silenceMs: () => clock.monotonicMs() - heardAtMs,
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await update(db, id, { stoppedAt: clock.now() })
    },
  }
}

/** One heartbeat: this node lives, and what dead ones had locked is free. */
export async function beat({ db, clock, log }: Needs, id: string): Promise<void> {
  await update(db, id, { heartbeatAt: clock.now(), clockOffsetMs: clock.offsetMs() })
  const freed = await unlockDeadJobs(db)
  if (freed > 0) log.warn({ freed }, 'jobs of dead nodes were unlocked')
}

function register(
  { db, clock }: Needs,
  id: string,
  given: { readonly name: string; readonly roles: readonly string[]; readonly version: string },
): Promise<void> {
  const now = clock.now()
  const row = {
    ...given,
    id,
    roles: [...given.roles],
    startedAt: now,
    heartbeatAt: now,
    clockOffsetMs: clock.offsetMs(),
  }
  return transact(db, async (tx) => {
    await tx.insertInto('node').values(row).execute()
  })
}

function update(
  db: Db,
  id: string,
  set: { heartbeatAt?: Date; clockOffsetMs?: number; workerPool?: string; stoppedAt?: Date },
): Promise<void> {
  return transact(db, async (tx) => {
    await tx.updateTable('node').set(set).where('id', '=', id).execute()
  })
}
