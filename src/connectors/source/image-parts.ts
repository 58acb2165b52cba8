import { open, realpath, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '../../kernel/crypto.ts'
import { isDenied, isGone, Unreadable } from '../connector.ts'
import { cleanPath, tarEntries, type Read, type TarEntry } from './tar.ts'

/** A part of an image by its name; with a digest it is only that when its bytes say so. */
export type Blob = { readonly name: string; readonly sha256: string | undefined }

/** Where the parts of an image lie: one tar, or a folder in OCI's layout. */
export type Parts = {
  /** Its bytes when they are there, not too many, and what their digest says; else why not. */
  readonly bytesOf: (blob: Blob, most: number) => Promise<Buffer | string>
  /** Whether all that the image has could be listed. */
  readonly isWhole: boolean
} & AsyncDisposable

const ABSENT = 'a part of the image is not there'

/** Opens what the settings name. Links are not followed, neither there nor below it. */
export async function openParts(path: string): Promise<Parts> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const found = await file.stat()
  if (found.isFile()) return archiveParts(file, found.size)
  await file.close()
  if (found.isDirectory()) return folderParts(await realpath(path))
  throw new Unreadable('the image is neither a file nor a folder')
}

async function archiveParts(file: FileHandle, sizeBytes: number): Promise<Parts> {
  const entries = new Map<string, TarEntry>()
  const read: Read = (at, size) => filled(file, at, size)
  const reading = tarEntries(read, sizeBytes)
  let next = await reading.next()
  for (; !next.done; next = await reading.next()) entries.set(next.value.name, next.value)
  return {
    isWhole: next.value,
    async bytesOf(blob, most) {
      const entry = entryOf(entries, blob.name)
      if (entry?.type !== 'file') return ABSENT
      return entry.sizeBytes > most ? tooLarge(most) : checked(await read(entry.at, entry.sizeBytes), blob)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}

/** Archives of docker have a layer once, and a link where another image has the same one. */
function entryOf(entries: ReadonlyMap<string, TarEntry>, name: string): TarEntry | undefined {
  const entry = entries.get(name)
  if (entry?.link === undefined) return entry
  // The link of a folder's file is meant from that folder; a hard link from the root of the archive.
  const from = entry.isHard ? [] : name.split('/').slice(0, -1)
  for (const part of cleanPath(entry.link).split('/')) {
    if (part === '..') from.pop()
    else from.push(part)
  }
  return entries.get(from.join('/'))
}

function folderParts(root: string): Parts {
  return {
    isWhole: true,
    async bytesOf(blob, most) {
      const path = join(root, blob.name)
      if (!path.startsWith(`${root === '/' ? '' : root}/`)) return ABSENT
      try {
        // A link anywhere on the way would have the reader read what is no part of the image.
        return (await realpath(path)) === path ? await bytesAt(path, blob, most) : ABSENT
      } catch (error) {
        if (isGone(error)) return ABSENT
        if (isDenied(error)) return 'a part of the image may not be read'
        throw error
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function tooLarge(most: number): string {
  return `a part of the image is larger than ${most} bytes`
}

function checked(bytes: Buffer, blob: Blob): Buffer | string {
  const isIt = blob.sha256 === undefined || sha256(bytes).toString('hex') === blob.sha256
  return isIt ? bytes : 'a part of the image is not what its digest says'
}

async function filled(file: FileHandle, at: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.alloc(sizeBytes)
  let held = 0
  while (held < sizeBytes) {
    const { bytesRead } = await file.read(bytes, held, sizeBytes - held, at + held)
    if (bytesRead === 0) break
    held += bytesRead
  }
  return bytes.subarray(0, held)
}

async function bytesAt(path: string, blob: Blob, most: number): Promise<Buffer | string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const found = await file.stat()
    if (!found.isFile()) return ABSENT
    return found.size > most ? tooLarge(most) : checked(await filled(file, 0, found.size), blob)
  } finally {
    await file.close()
  }
}
