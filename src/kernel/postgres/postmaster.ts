import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from '../timer.ts'
import { codeOf } from './failure.ts'
import { SOCKET_PORT } from './socket-folder.ts'

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
 * Removes the lock files of a cluster, of its data and of its socket, when their process is not its postmaster. PostgreSQL does this
 * itself when the number is free, but refuses to start while a zombie or a stranger has it.
 */
export function clearStaleLocks(dataFolder: string, socketFolder: string): void {
  clearStaleLock(join(dataFolder, 'postmaster.pid'), dataFolder)
  clearStaleLock(join(socketFolder, `.s.PGSQL.${SOCKET_PORT}.lock`), dataFolder)
}

/**
 * Moved aside first and looked at again: the file of a postmaster that started meanwhile goes back to its place. Should two ever slip
 * through, the shared memory that PostgreSQL keys by the data folder's inode lets only one live.
 */
function clearStaleLock(path: string, dataFolder: string): void {
  const aside = `${path}.${randomUUID()}`
  try {
    if (isHeld(path, dataFolder)) return
    renameSync(path, aside)
    if (isHeld(aside, dataFolder)) linkSync(aside, path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

/** A file without a number is one that a postmaster is about to write, unless a crash left it so. */
function isHeld(path: string, dataFolder: string): boolean {
  const pid = Number(readFileSync(path, 'utf8').split('\n')[0])
  if (Number.isInteger(pid) && pid > 0) return isPostmaster(pid, dataFolder)
  return Date.now() - statSync(path).mtimeMs < LONGEST_WRITE_MS
}

const LONGEST_WRITE_MS = 5_000

/** Open transactions are rolled back and a checkpoint written; on a slow disk that takes its time. */
export const FAST_STOP_MS = 30_000
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
