import { isUtf8 } from 'node:buffer'
import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, open, readdir, readlink, realpath, type FileHandle } from 'node:fs/promises'

const DEPTH_MAX = 30
const ENTRIES_MAX = 200_000
const SLASH = Buffer.from('/')

export type Entry = {
  /** As the system has it: names need not be UTF-8. */
  readonly path: Buffer
  readonly mode: number
  readonly uid: number
  readonly sizeBytes: number
}
/** `lost`: files that are there and could not be looked at. */
export type Walked = { unreadable: number; links: number; isCut: boolean; denied: number; lost: number }

/**
 * Every regular file under a folder, in the order of their names, nothing followed that is a link: those that lead to a file inside are met there,
 * and those that lead out are counted.
 */
export async function* filesUnder(root: Buffer, walked: Walked, signal: AbortSignal): AsyncGenerator<Entry, void> {
  const open: { folder: Buffer; depth: number }[] = [{ folder: root, depth: 0 }]
  let entries = 0
  for (let next = open.pop(); next; next = open.pop()) {
    signal.throwIfAborted()
    const { folder, depth } = next
    const listed = await listFolder(folder, walked)
    const folders: Buffer[] = []
    for (const each of listed) {
      entries += 1
      if (entries > ENTRIES_MAX) {
        walked.isCut = true
        return
      }
      const path = Buffer.concat([folder, SLASH, each.name])
      if (each.isDirectory()) folders.push(path)
      else if (each.isSymbolicLink()) walked.links += (await leadsOut(root, path)) ? 1 : 0
      else if (each.isFile()) {
        const stat = await look(path, walked)
        if (stat?.isFile()) yield { path, mode: stat.mode & 0o7777, uid: stat.uid, sizeBytes: stat.size }
      }
    }
    if (depth >= DEPTH_MAX && folders.length > 0) walked.isCut = true
    else open.push(...folders.toReversed().map((path) => ({ folder: path, depth: depth + 1 })))
  }
}

/** Undefined for what is not there any more; what is there and cannot be looked at is counted, and never taken for gone. */
async function look(path: Buffer, walked: Walked): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (!isGone(error)) walked.lost += 1
    return undefined
  }
}

async function listFolder(folder: Buffer, walked: Walked): Promise<Dirent<Buffer>[]> {
  try {
    const listed = await readdir(folder, { encoding: 'buffer', withFileTypes: true })
    return listed.toSorted((a, b) => Buffer.compare(a.name, b.name))
  } catch (error) {
    if (isDenied(error)) walked.denied += 1
    else walked.unreadable += 1
    return []
  }
}

async function leadsOut(root: Buffer, link: Buffer): Promise<boolean> {
  try {
    const place = await realpath(link, 'buffer')
    return !place.equals(root) && !isUnder(root, place)
  } catch (error) {
    // It leads nowhere, or round in a circle; where that cannot be seen it is taken to lead out.
    return !isGone(error)
  }
}

function isUnder(root: Buffer, path: Buffer): boolean {
  return path.length > root.length && path.subarray(0, root.length).equals(root) && path[root.length] === SLASH[0]
}

/** Opens what was met, without following anything that was put in its place since. Undefined when it is something else now. */
export async function readInside(
  root: Buffer,
  { path, sizeBytes }: Entry,
  maxBytes: number,
): Promise<Buffer | undefined> {
  // A pipe would never end; without O_NONBLOCK opening it would not either.
  const file = await openHere(path)
  if (!file) return undefined
  try {
    const stat = await file.stat()
    if (!stat.isFile() || !isUnder(root, await placeOf(file, path))) return undefined
    const bytes = Buffer.alloc(Math.min(stat.size, sizeBytes, maxBytes))
    let read = 0
    while (read < bytes.length) {
      const { bytesRead } = await file.read(bytes, read, bytes.length - read, read)
      if (bytesRead === 0) break
      read += bytesRead
    }
    return bytes.subarray(0, read)
  } finally {
    await file.close()
  }
}

async function openHere(path: Buffer): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (!isGone(error)) throw error
    return undefined
  }
}

/** Where the file that is open stands: a folder above it may have become a link. */
async function placeOf(file: FileHandle, path: Buffer): Promise<Buffer> {
  try {
    return await readlink(`/proc/self/fd/${file.fd}`, 'buffer')
  } catch {
    return realpath(path, 'buffer')
  }
}

/** Nothing is there, or something else than a file: a link, a circle of links, a socket. */
const GONE = new Set<unknown>(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENODEV'])

export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && GONE.has(error.code)
}

export function isDenied(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
}

/** A path as text that no other path has. */
export function pathText(path: Buffer): string {
  return isUtf8(path) ? path.toString('utf8') : `bytes:${path.toString('hex')}`
}
