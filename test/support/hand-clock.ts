import type { Clock } from '../../src/kernel/clock.ts'

/** A clock that moves only by hand. */
export type HandClock = Clock & { advance(seconds: number): void }

export function handClock(startAt = '2030-01-01T00:00:00.000Z'): HandClock {
  const start = new Date(startAt).getTime()
  let elapsedMs = 0
  return {
    now: () => new Date(start + elapsedMs),
    monotonicMs: () => elapsedMs,
    advance(seconds) {
      elapsedMs += seconds * 1000
    },
  }
}
