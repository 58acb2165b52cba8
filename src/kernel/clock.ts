/**
 * Time as commands see it. Wall time is the database's (core 14): a node measures its offset and `now()` adds it.
 * Deadlines inside a process use `monotonicMs()`, which no clock jump moves.
 */
export type Clock = {
  /** The database's present instant, to the millisecond. */
  now(): Date
  /** Milliseconds on a clock that never goes back; only differences mean something. */
  monotonicMs(): number
}

/** The machine's own clock, for tools that have no database. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
}

/** The instant `seconds` after `from`. */
export function secondsAfter(from: Date, seconds: number): Date {
  return new Date(from.getTime() + seconds * 1000)
}
