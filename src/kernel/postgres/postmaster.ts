import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from '../timer.ts'
import { codeOf } from './failure.ts'

/** What a running postmaster says of itself in `postmaster.pid`. */
export type Postmaster = { readonly pid: number; readonly socketFolder: string }

/** The running postmaster of a data folder, whoever started it. A file that a crash left behind is no postmaster. */
export function findPostmaster(dataFolder: string): Postmaster | undefined {
  const written = readPidFile(dataFolder)
  return written !== undefined && isPostmaster(written.pid, dataFolder) ? written : undefined
}

/** miscadmin.h, LOCK_FILE_LINE_*: pid, data folder, start time, port, socket folder, listen address, shared memory, status. */
function readPidFile(dataFolder: string): Postmaster | undefined {
  try {
    const lines = readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n')
    const pid = Number(lines[0])
    return Number.isInteger(pid) && pid > 0 ? { pid, socketFolder: lines[4] ?? '' } : undefined
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Alive, not a zombie, and not a stranger that got the number later (a container starts counting at 1 again).
 * Where there is no /proc, being alive has to do.
 */
function isPostmaster(pid: number, dataFolder: string): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dataFolder)
  } catch {
    return process.platform !== 'linux'
  }
}

/**
 * Removes a `postmaster.pid` whose process is not a postmaster. PostgreSQL does this itself when the number is free, but refuses to start
 * while a zombie or a stranger has it. Moved aside first and looked at again: a new postmaster's file goes back to its place.
 */
export function clearStalePidFile(dataFolder: string): void {
  if (readPidFile(dataFolder) === undefined || findPostmaster(dataFolder) !== undefined) return
  const path = join(dataFolder, 'postmaster.pid')
  const aside = `${path}.${randomUUID()}`
  try {
    renameSync(path, aside)
    const pid = Number(readFileSync(aside, 'utf8').split('\n')[0])
    if (isPostmaster(pid, dataFolder)) linkSync(aside, path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

/** Open transactions are rolled back and a checkpoint written; on a slow disk that takes its time. */
const FAST_STOP_MS = 30_000
/** The postmaster kills what has not left five seconds after the immediate signal. */
const IMMEDIATE_STOP_MS = 10_000
const POLL_MS = 15

/** Fast shutdown, then immediate (the next start recovers), then SIGKILL. Returns when the process is gone. */
export async function stopPostmaster(
  dataFolder: string,
  limits: { fastMs: number; immediateMs: number } = { fastMs: FAST_STOP_MS, immediateMs: IMMEDIATE_STOP_MS },
): Promise<void> {
  const { fastMs, immediateMs } = limits
  const steps = [
    { signal: 'SIGINT', ms: fastMs },
    { signal: 'SIGQUIT', ms: immediateMs },
    { signal: 'SIGKILL', ms: immediateMs },
  ] as const
  const pid = findPostmaster(dataFolder)?.pid
  if (pid === undefined) return
  for (const { signal, ms } of steps) {
    // After SIGINT the file is the first thing to go; the process is what counts.
    if (!isPostmaster(pid, dataFolder)) return
    signalPostmaster(pid, signal)
    if (await isGoneWithin(pid, dataFolder, ms)) return
  }
  throw new Error(`PostgreSQL (process ${pid}) does not stop`)
}

function signalPostmaster(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

async function isGoneWithin(pid: number, dataFolder: string, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  while (performance.now() < deadline) {
    if (!isPostmaster(pid, dataFolder)) return true
    await sleep(POLL_MS)
  }
  return !isPostmaster(pid, dataFolder)
}
