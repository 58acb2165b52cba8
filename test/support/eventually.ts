import assert from 'node:assert/strict'
import { sleep } from '../../src/kernel/timer.ts'

/** Longer than anything honest takes on a busy machine. */
const LONGEST_WAIT_MS = 60_000

/** Looks until there is something to see. */
export async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const until = performance.now() + LONGEST_WAIT_MS
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    assert.ok(performance.now() < until, 'it never came to that')
    await sleep(50)
  }
}
