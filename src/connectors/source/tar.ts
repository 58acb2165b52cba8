/** Headers of a tar archive (POSIX.1-2017 pax and ustar, and GNU's long names), read where it lies: bodies only when they are asked for. */
export type Read = (at: number, sizeBytes: number) => Promise<Buffer>

export type TarEntry = {
  readonly name: string
  readonly type: 'file' | 'folder' | 'other'
  readonly at: number
  readonly sizeBytes: number
  /** Where a link leads, as it is written. */
  readonly link?: string
  /** A further name of what the same archive had before. */
  readonly isHard?: boolean
}

const BLOCK = 512
/** Names of a longer header are not read; the archive counts as damaged. */
const HEADER_BYTES = 65_536
const ENTRIES_MAX = 500_000

/** Every entry in its order; false at the end where the archive is damaged, cut off, or has more of them than are read. */
export async function* tarEntries(read: Read, sizeBytes: number): AsyncGenerator<TarEntry, boolean> {
  let longName: string | undefined
  let longLink: string | undefined
  let count = 0
  for (let at = 0; at + BLOCK <= sizeBytes;) {
    const header = await read(at, BLOCK)
    if (header.length < BLOCK) return false
    if (header[0] === 0) return true
    const size = sizeOf(header)
    const body = at + BLOCK
    count += 1
    if (!sumHolds(header) || size === undefined || body + size > sizeBytes || count > ENTRIES_MAX) return false
    at = body + Math.ceil(size / BLOCK) * BLOCK
    const flag = String.fromCharCode(header[156] ?? 0)
    if (flag === 'L' || flag === 'K' || flag === 'x') {
      if (size > HEADER_BYTES) return false
      const text = (await read(body, size)).toString('utf8')
      const bare = text.replace(/\0[^]*$/, '')
      if (flag !== 'K') longName = flag === 'L' ? bare : (paxOf(text, 'path') ?? longName)
      if (flag !== 'L') longLink = flag === 'K' ? bare : (paxOf(text, 'linkpath') ?? longLink)
    } else if (flag !== 'g') {
      const name = cleanPath(longName ?? [field(header, 345, 155), field(header, 0, 100)].filter(Boolean).join('/'))
      const link = flag === '1' || flag === '2' ? (longLink ?? field(header, 157, 100)) : undefined
      longName = undefined
      longLink = undefined
      if (name !== '')
        yield { name, type: typeOf(flag), at: body, sizeBytes: size, ...(link && { link, isHard: flag === '1' }) }
    }
  }
  return true
}

/** Without `./` and a slash at either end: one file has one name in every layer. */
export function cleanPath(raw: string): string {
  return raw
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

function typeOf(flag: string): TarEntry['type'] {
  if (flag === '5') return 'folder'
  // Links, devices, pipes. POSIX.1-2017: a type that nobody knows is a file; so is what GNU keeps without its holes.
  return /[12346]/.test(flag) ? 'other' : 'file'
}

function field(header: Buffer, at: number, size: number): string {
  return header
    .toString('utf8', at, at + size)
    .replace(/\0[^]*$/, '')
    .trim()
}

function sizeOf(header: Buffer): number | undefined {
  // GNU's base-256 for what octal digits do not hold.
  const size =
    ((header[124] ?? 0) & 0x80) !== 0 ? header.readUIntBE(130, 6) : parseInt(field(header, 124, 12) || '0', 8)
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined
}

function sumHolds(header: Buffer): boolean {
  let sum = 8 * 0x20
  for (let n = 0; n < BLOCK; n += 1) if (n < 148 || n >= 156) sum += header[n] ?? 0
  return sum === parseInt(field(header, 148, 8), 8)
}

function paxOf(text: string, key: 'path' | 'linkpath'): string | undefined {
  return new RegExp(`(?:^|\\n)\\d{1,6} ${key}=([^\\n]{1,4096})\\n`).exec(text)?.[1]
}
