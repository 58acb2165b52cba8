/**
 * Files under a folder, one after the other. Links are not followed: what they point at inside is met by its own name, what lies outside is
 * said. Nothing is left out but the inside of `.git`, which is history's part.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, opendirSync, readSync, realpathSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

export type TreeFile = {
  readonly path: string
  readonly bytes: Buffer
  readonly cutAt: number | undefined
  readonly isRoot: boolean
}
export type Unreadable = (path: string, reason: string) => void

/** Deeper is a loop or a trap. */
const DEEPEST = 200

export function* readTree(root: string, mostBytes: number, unread: Unreadable): Generator<TreeFile> {
  const stat = attempt(() => lstatSync(root), '.', unread)
  if (!stat) return
  if (stat.isSymbolicLink()) {
    unread('.', 'it is a link; name what it points at')
    return
  }
  if (!stat.isDirectory()) {
    yield* oneFile(root, root.slice(root.lastIndexOf(sep) + 1), mostBytes, unread, true)
    return
  }
  const real = realpathSync(root)
  yield* folder(real, '', 0)

  function* folder(absolute: string, path: string, depth: number): Generator<TreeFile> {
    if (depth > DEEPEST) {
      unread(path, `it lies more than ${DEEPEST} folders deep`)
      return
    }
    const opened = attempt(() => opendirSync(absolute), path === '' ? '.' : path, unread)
    if (!opened) return
    const entries = []
    try {
      for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) entries.push(entry)
    } finally {
      opened.closeSync()
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      const at = join(absolute, entry.name)
      if (entry.isDirectory()) {
        if (entry.name !== '.git') yield* folder(at, inner, depth + 1)
      } else if (entry.isSymbolicLink()) sayLink(at, inner)
      else if (entry.isFile()) yield* oneFile(at, inner, mostBytes, unread)
      else unread(inner, 'it is no file: a socket, pipe or device')
    }
  }

  function sayLink(at: string, path: string): void {
    try {
      const target = relative(real, realpathSync(at))
      if (target === '..' || target.startsWith(`..${sep}`)) unread(path, 'it is a link out of the tree')
    } catch {
      unread(path, 'it is a link that leads nowhere or in a circle')
    }
  }
}

function* oneFile(
  absolute: string,
  path: string,
  mostBytes: number,
  unread: Unreadable,
  isRoot = false,
): Generator<TreeFile> {
  const file = attempt(() => readFile(absolute, mostBytes), path, unread)
  if (file === 'no file') unread(path, 'it is no file: a socket, pipe or device')
  else if (file) yield { path, isRoot, ...file }
}

/** Opened without following a link and without waiting for a pipe, then looked at: what was a file before may be none now. */
function readFile(path: string, mostBytes: number): Omit<TreeFile, 'path' | 'isRoot'> | 'no file' {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(handle)
    if (!stat.isFile()) return 'no file'
    const bytes = Buffer.allocUnsafe(Math.min(stat.size, mostBytes))
    let size = 0
    while (size < bytes.length) {
      const read = readSync(handle, bytes, size, bytes.length - size, size)
      if (read === 0) break
      size += read
    }
    return { bytes: bytes.subarray(0, size), cutAt: stat.size > mostBytes ? mostBytes : undefined }
  } finally {
    closeSync(handle)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission to read it is missing',
  EPERM: 'permission to read it is missing',
  ENOENT: 'it is not there',
  ELOOP: 'it became a link while it was looked at',
  ENAMETOOLONG: 'its name is too long',
}

function attempt<T>(run: () => T, path: string, unread: Unreadable): T | undefined {
  try {
    return run()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    unread(path, REASONS[code] ?? `it cannot be read (${code})`)
    return undefined
  }
}
