import { sql } from 'kysely'
import type { Clock } from './clock.ts'
import type { Db } from './db.ts'
import type { Log } from './log.ts'
import { every } from './timer.ts'

/** Core 14: a node whose machine is further off than this is not ready. */
const WORST_OFFSET_MS = 2_000
const MEASURE_EVERY_MS = 10_000
/** How soon a jump of the machine's clock, or a pause of the machine, leads to a new measurement. */
const LOOK_EVERY_MS = 1_000
const SAMPLES = 3

export type DatabaseClock = Clock & Disposable & { offsetMs(): number; isNear(): boolean }

/** An instant of the database, and when that was on this process's own clocks. */
type Measured = { readonly databaseMs: number; readonly monotonicMs: number; readonly offsetMs: number }

/**
 * Time as the database has it, measured now and every ten seconds; the sample with the shortest way counts. In between the monotonic
 * clock carries it on, so that a jump of the machine's clock ends no grant and revives none.
 */
export async function openDatabaseClock(db: Db, log: Log): Promise<DatabaseClock> {
  let last = await measure(db)
  let isMeasuring = false
  const nowMs = () => last.databaseMs + performance.now() - last.monotonicMs
  const offsetMs = () => nowMs() - Date.now()
  const timer = every(LOOK_EVERY_MS, () => {
    const hasJumped = Math.abs(offsetMs() - last.offsetMs) > WORST_OFFSET_MS
    if (isMeasuring || (!hasJumped && performance.now() - last.monotonicMs < MEASURE_EVERY_MS)) return
    isMeasuring = true
    measure(db)
      .then(
        (found) => {
          last = found
        },
        (error: unknown) => log.warn({ err: error }, 'the clock of the database could not be read'),
      )
      .finally(() => {
        isMeasuring = false
      })
  })
  return {
    now: () => new Date(nowMs()),
    monotonicMs: () => performance.now(),
    offsetMs,
    isNear: () => Math.abs(offsetMs()) <= WORST_OFFSET_MS,
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

async function measure(db: Db): Promise<Measured> {
  let best = { wayMs: Number.POSITIVE_INFINITY, databaseMs: 0, monotonicMs: 0, offsetMs: 0 }
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const before = performance.now()
    const { rows } = await sql<{
      ms: number
    }>`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`.execute(db)
    const monotonicMs = performance.now()
    const wayMs = monotonicMs - before
    const databaseMs = (rows[0]?.ms ?? Number.NaN) + wayMs / 2
    if (wayMs < best.wayMs) best = { wayMs, databaseMs, monotonicMs, offsetMs: databaseMs - Date.now() }
  }
  return best
}
