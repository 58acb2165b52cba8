/** Archives and compressed files, told by their first bytes, unpacked in memory within a budget. */
import { gunzipSync, inflateRawSync } from 'node:zlib'
import { isZstd, unzstdSync } from '../../kernel/zstd.ts'
import type { Budget, Limits } from './limits.ts'

type Entry = { readonly name: string; readonly bytes: Buffer }
/** What came of an archive: entries, and what could not be taken out of it. */
export type Unpacked = { readonly entry: Entry } | { readonly name: string; readonly reason: string }

export type Packing = 'gzip' | 'zip' | 'tar' | 'zstd' | 'bzip2' | 'xz' | '7z'

const MAGIC: readonly (readonly [Packing, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['zip', [0x50, 0x4b, 0x05, 0x06]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['7z', [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
]

/** How bytes are packed, if they are. */
export function packingOf(bytes: Buffer): Packing | undefined {
  const found = MAGIC.find(([, magic]) => magic.every((byte, at) => bytes[at] === byte))
  if (found) return found[0] !== 'bzip2' || /^BZh[1-9]1AY/.test(bytes.toString('latin1', 0, 7)) ? found[0] : undefined
  if (isZstd(bytes)) return 'zstd'
  return isTar(bytes) ? 'tar' : undefined
}

/** Takes out what is in there, one at a time. Damage and limits come as reasons; nothing is thrown. */
export function* unpack(bytes: Buffer, packing: Packing, budget: Budget, limits: Limits): Generator<Unpacked> {
  switch (packing) {
    case 'gzip':
    case 'zstd':
      yield inflated(bytes, packing, budget, limits)
      return
    case 'tar':
      yield* tarEntries(bytes, budget, limits)
      return
    case 'zip':
      yield* zipEntries(bytes, budget, limits)
      return
    case 'bzip2':
    case 'xz':
    case '7z':
      yield { name: '', reason: `${packing} is not unpacked` }
  }
}

function inflated(bytes: Buffer, packing: 'gzip' | 'zstd', budget: Budget, limits: Limits): Unpacked {
  const most = Math.min(limits.entryBytes * 8, budget.leftBytes())
  return inflate(
    (options) => (packing === 'gzip' ? gunzipSync(bytes, options) : unzstdSync(bytes, options.maxOutputLength)),
    {
      name: '',
      most,
      budget,
    },
  )
}

type Task = { readonly name: string; readonly most: number; readonly budget: Budget }

function inflate(run: (options: { maxOutputLength: number }) => Buffer, { name, most, budget }: Task): Unpacked {
  try {
    const out = run({ maxOutputLength: Math.max(1, most) })
    const reason = budget.spend(out.length)
    return reason === undefined ? { entry: { name, bytes: out } } : { name, reason }
  } catch (error) {
    const isTooBig = error instanceof RangeError
    if (isTooBig) budget.spend(most)
    return { name, reason: isTooBig ? `it unpacks to more than ${most} bytes` : 'it is damaged or cut off' }
  }
}

/** POSIX.1-2017 pax, ustar: the mark at 257, and a checksum over the header that holds. */
function isTar(bytes: Buffer): boolean {
  return bytes.length >= 512 && bytes.toString('latin1', 257, 262) === 'ustar' && tarSumHolds(bytes, 0)
}

function tarSumHolds(bytes: Buffer, at: number): boolean {
  let sum = 8 * 0x20
  for (let n = 0; n < 512; n += 1) if (n < 148 || n >= 156) sum += bytes[at + n] ?? 0
  return sum === parseInt(text(bytes, at + 148, 8), 8)
}

const text = (bytes: Buffer, at: number, size: number): string =>
  bytes
    .toString('utf8', at, at + size)
    .replace(/\0[^]*$/, '')
    .trim()

/** An octal number, or 12 bytes of it in GNU's binary form. */
function tarSize(bytes: Buffer, at: number): number {
  if (((bytes[at + 124] ?? 0) & 0x80) !== 0) return bytes.readUIntBE(at + 130, 6)
  const size = parseInt(text(bytes, at + 124, 12) || '0', 8)
  return Number.isSafeInteger(size) && size >= 0 ? size : -1
}

function* tarEntries(bytes: Buffer, budget: Budget, limits: Limits): Generator<Unpacked> {
  let longName: string | undefined
  for (let at = 0; at + 512 <= bytes.length;) {
    if (bytes[at] === 0) return
    if (!tarSumHolds(bytes, at)) {
      yield { name: '', reason: 'an archive in it is damaged' }
      return
    }
    const size = tarSize(bytes, at)
    const type = String.fromCharCode(bytes[at + 156] ?? 0)
    const start = at + 512
    if (size < 0 || start + size > bytes.length) {
      {
        yield { name: longName ?? text(bytes, at, 100), reason: 'it is cut off' }
        return
      }
    }
    const body = bytes.subarray(start, start + size)
    at = start + Math.ceil(size / 512) * 512
    if (type === 'L') longName = text(body, 0, Math.min(size, 4096))
    else if (type === 'x') longName = paxPath(body) ?? longName
    else if (type !== 'K' && type !== 'g') {
      const prefix = text(bytes, start - 512 + 345, 155)
      const name = longName ?? [prefix, text(bytes, start - 512, 100)].filter((part) => part !== '').join('/')
      longName = undefined
      // POSIX.1-2017: a type that nobody knows is a file; so is what GNU keeps without its holes.
      if (NO_FILE.has(type)) continue
      const reason = budget.entry()
      if (reason !== undefined) {
        yield { name, reason }
        return
      }
      yield size > limits.entryBytes
        ? { name, reason: `it is larger than ${limits.entryBytes} bytes` }
        : { entry: { name, bytes: body } }
    }
  }
}

/** Links, devices, folders, pipes: ustar, by its type flag. What they bring with them is nothing. */
const NO_FILE = new Set(['1', '2', '3', '4', '5', '6'])

/** pax headers: `<length> path=<name>\n`. */
function paxPath(body: Buffer): string | undefined {
  return /(?:^|\n)\d{1,6} path=([^\n]{1,4096})\n/.exec(body.toString('utf8'))?.[1]
}

const [END_OF_DIRECTORY, DIRECTORY_ENTRY, LOCAL_ENTRY] = [0x06054b50, 0x02014b50, 0x04034b50] as const

/** APPNOTE 4.3.13 ff.: a signature over it, the end of a larger one, the end. */
const BEHIND_DIRECTORY = new Set([0x05054b50, 0x06064b50, END_OF_DIRECTORY])

/** APPNOTE 4.3: the directory at the end says what is there; names are shown, never used as paths. */
function* zipEntries(bytes: Buffer, budget: Budget, limits: Limits): Generator<Unpacked> {
  const end = endOfDirectory(bytes)
  if (end === undefined) {
    yield { name: '', reason: 'its directory is missing: it is damaged or cut off' }
    return
  }
  // How many it says it has is not believed: 16 bits hold no more than 65,535, and whoever wrote it may have said fewer.
  let at = bytes.readUInt32LE(end + 16)
  while (!BEHIND_DIRECTORY.has(at + 4 <= bytes.length ? bytes.readUInt32LE(at) : 0)) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== DIRECTORY_ENTRY) {
      yield { name: '', reason: 'its directory is damaged' }
      return
    }
    const [nameSize, extraSize, commentSize] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset))
    const name = bytes.toString('utf8', at + 46, at + 46 + (nameSize ?? 0))
    const reason = budget.entry()
    if (reason !== undefined) {
      yield { name, reason }
      return
    }
    if (!name.endsWith('/')) yield zipEntry(bytes, at, name, budget, limits)
    at += 46 + (nameSize ?? 0) + (extraSize ?? 0) + (commentSize ?? 0)
  }
}

function endOfDirectory(bytes: Buffer): number | undefined {
  for (let at = bytes.length - 22; at >= Math.max(0, bytes.length - 22 - 65_535); at -= 1) {
    if (bytes.readUInt32LE(at) === END_OF_DIRECTORY) return at
  }
  return undefined
}

function zipEntry(bytes: Buffer, at: number, name: string, budget: Budget, limits: Limits): Unpacked {
  const [flags, method] = [bytes.readUInt16LE(at + 8), bytes.readUInt16LE(at + 10)]
  const [packedSize, local] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 42)]
  if ((flags & 1) === 1) return { name, reason: 'it is under a password' }
  if (packedSize === 0xffffffff || local === 0xffffffff)
    return { name, reason: 'zip of more than 4 GB is not unpacked' }
  if (local + 30 > bytes.length || bytes.readUInt32LE(local) !== LOCAL_ENTRY) return { name, reason: 'it is damaged' }
  const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28)
  if (start + packedSize > bytes.length) return { name, reason: 'it is cut off' }
  const packed = bytes.subarray(start, start + packedSize)
  const most = Math.min(limits.entryBytes, budget.leftBytes())
  if (method === 8) return inflate((options) => inflateRawSync(packed, options), { name, most, budget })
  if (method === 93) return inflate((options) => unzstdSync(packed, options.maxOutputLength), { name, most, budget })
  if (method !== 0) return { name, reason: `zip method ${method} is not unpacked` }
  const spent = budget.spend(packedSize)
  return spent === undefined ? { entry: { name, bytes: packed } } : { name, reason: spent }
}
