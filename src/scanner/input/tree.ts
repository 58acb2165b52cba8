/**
 * Files under a folder, one after the other. Links are not followed: what they point at inside is met by its own name, what lies outside is
 * said. Nothing is left out but the inside of `.git`, which is history's part.
 */
import { isUtf8 } from 'node:buffer'
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
} from 'node:fs'
import { relative, sep } from 'node:path'

export type TreeFile = {
  readonly path: string
  /** Good until the next file is asked for: small files share one buffer. */
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
    yield* oneFile(root, root.slice(root.lastIndexOf(sep) + 1), mostBytes, unread)
    return
  }
  const real = realpathSync(root)
  const shared = Buffer.allocUnsafeSlow(SHARED_BYTES)
  yield* folder(real, '', 0)

  function* folder(absolute: string | Buffer, path: string, depth: number): Generator<TreeFile> {
    if (depth > DEEPEST) {
      unread(path, `it lies more than ${DEEPEST} folders deep`)
      return
    }
    const entries = attempt(() => listed(absolute), path === '' ? '.' : path, unread)
    if (!entries) return
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name, at } = entry
      const inner = path === '' ? name : `${path}/${name}`
      if (entry.isDirectory()) {
        if (name !== '.git') yield* folder(at, inner, depth + 1)
      } else if (entry.isSymbolicLink()) sayLink(at, inner)
      else if (entry.isFile()) yield* oneFile(at, inner, mostBytes, unread, shared)
      else unread(inner, 'it is no file: a socket, pipe or device')
    }
  }

  function sayLink(at: string | Buffer, path: string): void {
    try {
      const target = relative(real, realpathSync(at))
      if (target === '..' || target.startsWith(`..${sep}`)) unread(path, 'it is a link out of the tree')
    } catch {
      unread(path, 'it is a link that leads nowhere or in a circle')
    }
  }
}

type Listed = Pick<Dirent, 'isDirectory' | 'isFile' | 'isSymbolicLink'> & {
  readonly name: string
  readonly at: string | Buffer
}

/** What lies in a folder, each with where it is. Names that are no UTF-8 are bytes, and are read as such; as text no other name is like them. */
function listed(folder: string | Buffer): Listed[] {
  if (typeof folder === 'string') {
    const entries = readdirSync(folder, { withFileTypes: true })
    const prefix = folder === sep ? sep : folder + sep
    if (entries.every(({ name }) => !name.includes('\ufffd')))
      return entries.map((entry) => Object.assign(entry, { at: prefix + entry.name }))
  }
  const prefix = Buffer.concat([Buffer.from(folder), Buffer.from(sep)])
  return readdirSync(folder, { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
    isDirectory: () => entry.isDirectory(),
    isFile: () => entry.isFile(),
    isSymbolicLink: () => entry.isSymbolicLink(),
    name: isUtf8(entry.name) ? entry.name.toString('utf8') : `bytes:${entry.name.toString('hex')}`,
    at: Buffer.concat([prefix, entry.name]),
  }))
}

function* oneFile(
  absolute: string | Buffer,
  path: string,
  mostBytes: number,
  unread: Unreadable,
  shared?: Buffer,
): Generator<TreeFile> {
  const file = attempt(() => readFile(absolute, mostBytes, shared ?? NOTHING), path, unread)
  if (file === 'no file') unread(path, 'it is no file: a socket, pipe or device')
  else if (file) yield { path, isRoot: shared === undefined, ...file }
}

/** Larger files are rare, and have a buffer of their own. */
const SHARED_BYTES = 256 * 1024
const NOTHING = Buffer.alloc(0)

/**
 * Opened without following a link and without waiting for a pipe: what was a file before may be none now. One that its folder calls a file and that
 * does not fill the shared buffer is read in one call; of others it is asked what they are.
 */
function readFile(
  path: string | Buffer,
  mostBytes: number,
  shared: Buffer,
): Omit<TreeFile, 'path' | 'isRoot'> | 'no file' {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (shared.length > 0 && shared.length <= mostBytes) {
      const size = readSync(handle, shared, 0, shared.length, 0)
      if (size < shared.length) return { bytes: shared.subarray(0, size), cutAt: undefined }
    }
    return readLarge(handle, mostBytes)
  } finally {
    closeSync(handle)
  }
}

function readLarge(handle: number, mostBytes: number): Omit<TreeFile, 'path' | 'isRoot'> | 'no file' {
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
