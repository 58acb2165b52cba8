import { sql } from 'kysely'
import { offsetClock, type Clock } from './clock.ts'
import type { Db } from './db.ts'
import type { Log } from './log.ts'
import { every } from './timer.ts'

/** Core 14: a node whose machine is further off than this is not ready. */
export const WORST_OFFSET_MS = 2_000
const MEASURE_EVERY_MS = 10_000
const SAMPLES = 3

export type DatabaseClock = Clock & Disposable & { offsetMs(): number; isNear(): boolean }

/** Time as the database has it, by an offset measured now and every ten seconds; the sample with the shortest way counts. */
export async function openDatabaseClock(db: Db, log: Log): Promise<DatabaseClock> {
  let offsetMs = await measure(db)
  const timer = every(MEASURE_EVERY_MS, () => {
    measure(db).then(
      (found) => {
        offsetMs = found
      },
      (error: unknown) => log.warn({ err: error }, 'the clock of the database could not be read'),
    )
  })
  return {
    ...offsetClock(() => offsetMs),
    offsetMs: () => offsetMs,
    isNear: () => Math.abs(offsetMs) <= WORST_OFFSET_MS,
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

async function measure(db: Db): Promise<number> {
  let best = { wayMs: Number.POSITIVE_INFINITY, offsetMs: 0 }
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const before = performance.now()
    const { rows } = await sql<{
      ms: number
    }>`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`.execute(db)
    const wayMs = performance.now() - before
    const atMs = rows[0]?.ms ?? Number.NaN
    if (wayMs < best.wayMs) best = { wayMs, offsetMs: atMs + wayMs / 2 - Date.now() }
  }
  return best.offsetMs
}
