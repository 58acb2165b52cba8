import type { Engine } from './evaluate.ts'

/**
 * The version of the policies that decides now. A decision takes `current()` once and asks it only, so that no decision
 * is made by two versions; evaluating never waits, so nothing is under way when the old version is put away.
 */
export type LiveEngine = Disposable & {
  current(): Engine
  swap(next: Engine): void
}

/** Starts with one version; the holder owns it and each that follows. */
export function liveEngine(first: Engine): LiveEngine {
  let now = first
  return {
    current: () => now,
    swap: (next) => {
      const before = now
      now = next
      if (before !== next) before[Symbol.dispose]()
    },
    [Symbol.dispose]: () => now[Symbol.dispose](),
  }
}
