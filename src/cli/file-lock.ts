/** One of several commands at a time, by a file that only one of them can make. A command that died leaves it behind; it is then taken away. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { systemClock } from '../kernel/clock.ts'
import { newId, systemRandom } from '../kernel/random.ts'
import { sleep } from '../kernel/timer.ts'
import { usage } from './failure.ts'

/** What is done under a lock takes milliseconds: whose lock is older than this died holding it. */
const STALE_MS = 10_000
/** Longer than the lock of a dead one lasts. */
const WAIT_MS = 20_000
const LOOK_MS = 25

/**
 * Runs `act` while the file `lock` is this process's own, and again until it says true. `isHeld` tells whether it still is: a process that
 * slept too long was taken for dead, and must change nothing then.
 */
export async function underLock(lock: string, act: (isHeld: () => boolean) => boolean): Promise<void> {
  const until = systemClock.monotonicMs() + WAIT_MS
  // What stands in the file is a name that nobody else has.
  const mine = newId(systemClock, systemRandom)
  const isHeld = () => holderOf(lock) === mine
  for (;;) {
    if (take(lock, mine)) {
      try {
        if (act(isHeld)) return
      } finally {
        if (isHeld()) rmSync(lock, { force: true })
      }
    }
    if (systemClock.monotonicMs() >= until)
      throw usage(`Another command holds ${lock}.`, 'Remove that file if no other command runs.')
    await sleep(LOOK_MS)
    removeStale(lock, mine)
  }
}

function take(lock: string, mine: string): boolean {
  try {
    writeFileSync(lock, mine, { mode: 0o600, flag: 'wx' })
    return true
  } catch (error) {
    if (isError(error, 'EEXIST')) return false
    throw error
  }
}

/** Moved aside first: of two that found it stale one has it. Should that be the next holder's by then, `isHeld` tells it, and it starts over. */
function removeStale(lock: string, mine: string): void {
  const file = statSync(lock, { throwIfNoEntry: false })
  if (!file || systemClock.now().getTime() - file.mtimeMs < STALE_MS) return
  const aside = `${lock}.${mine}`
  try {
    renameSync(lock, aside)
    rmSync(aside, { force: true })
  } catch (error) {
    if (!isError(error, 'ENOENT')) throw error
  }
}

function holderOf(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8')
  } catch (error) {
    if (isError(error, 'ENOENT')) return undefined
    throw error
  }
}

function isError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
