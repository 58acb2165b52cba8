import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { every } from '../timer.ts'

/** Two files of this size at most, and what a burst adds within one look. Years of a quiet database, an hour of a noisy one. */
const LONGEST_LOG_BYTES = 16 * 1024 * 1024
const LOOK_MS = 30_000

/** Opens for appending: PostgreSQL holds the file itself, so that nothing is lost when we are killed. */
export function openServerLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  return openSync(path, 'a', 0o600)
}

/**
 * Keeps the log bounded until disposed. The running postmaster keeps its descriptor, so the content moves, not the file; a line
 * written between copy and cut is lost. Two nodes may do it at once: the second finds the file short.
 */
export function keepBounded(path: string, onError: (error: unknown) => void): Disposable {
  return every(LOOK_MS, () => {
    try {
      rotateServerLog(path)
    } catch (error) {
      onError(error)
    }
  })
}

export function rotateServerLog(path: string, longestBytes: number = LONGEST_LOG_BYTES): void {
  if (sizeOf(path) <= longestBytes) return
  const draft = `${path}.1.${process.pid}`
  copyFileSync(path, draft)
  if (sizeOf(path) <= longestBytes) return
  renameSync(draft, `${path}.1`)
  truncateSync(path)
}

/** The last 16 KiB of what was written since `fromBytes`. */
export function tailOf(path: string, fromBytes: number): string {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const from = Math.max(size < fromBytes ? 0 : fromBytes, size - 16_384)
    const tail = Buffer.alloc(size - from)
    return tail.toString('utf8', 0, readSync(file, tail, 0, tail.length, from))
  } finally {
    closeSync(file)
  }
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
