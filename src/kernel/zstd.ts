/**
 * Zstandard as RFC 8878 §3 has it: frames follow each other, and some are to be skipped. Node takes the first frame for all there is and lets go of
 * what stands behind it, so frames are told apart here.
 */
import { promisify } from 'node:util'
import { zstdDecompress, zstdDecompressSync } from 'node:zlib'

const MAGIC = 0xfd2fb528
/** RFC 8878 §3.1.2: sixteen numbers, which differ in their last four bits. */
const SKIPPED = 0x184d2a50
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3
/** Each costs a decompressor; a file of nothing but tiny ones is no work for hours. */
const FRAMES_MAX = 200_000
const CHUNK_BYTES = 1024 ** 2

/**
 * Where the frame that begins at `at` ends, as far as its own headers tell: behind the end of `bytes` where more of it has to be there. Undefined
 * where no frame begins.
 */
export function zstdFrameEnd(bytes: Buffer, at: number): number | undefined {
  if (at + 5 > bytes.length) return at + 5
  if (bytes.readUInt32LE(at) !== MAGIC) return undefined
  const descriptor = bytes.readUInt8(at + 4)
  const hasSingleSegment = (descriptor & 0x20) !== 0
  const hasChecksum = (descriptor & 0x04) !== 0
  // RFC 8878 §3.1.1.1: window descriptor, dictionary id, content size.
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const sizeBytes = [hasSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  let end = at + 5 + (hasSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes
  for (;;) {
    if (end + 3 > bytes.length) return end + 3
    const header = bytes.readUIntLE(end, 3)
    const type = (header >> 1) & 3
    if (type === BLOCK_RESERVED) return undefined
    end += 3 + (type === BLOCK_RLE ? 1 : header >> 3)
    if ((header & 1) === 1) return end + (hasChecksum ? 4 : 0)
  }
}

/** Whether it begins as Zstandard does, frames that are to be skipped left aside. */
export function isZstd(bytes: Buffer): boolean {
  const at = afterSkipped(bytes, 0)
  return at + 4 <= bytes.length && bytes.readUInt32LE(at) === MAGIC
}

function afterSkipped(bytes: Buffer, from: number): number {
  let at = from
  while (at + 8 <= bytes.length && (bytes.readUInt32LE(at) & 0xfffffff0) >>> 0 === SKIPPED)
    at += 8 + bytes.readUInt32LE(at + 4)
  return at
}

const BROKEN = 'the frames are damaged or cut off'

/** All frames with content. Throws where one is cut off, or something else stands between them. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  let at = afterSkipped(bytes, 0)
  while (at < bytes.length) {
    const end = zstdFrameEnd(bytes, at)
    if (end === undefined || end > bytes.length) throw new Error(BROKEN)
    frames.push(bytes.subarray(at, end))
    if (frames.length > FRAMES_MAX) throw new Error(`there are more than ${FRAMES_MAX} frames`)
    at = afterSkipped(bytes, end)
  }
  if (at > bytes.length) throw new Error(BROKEN)
  return frames
}

const decompress = promisify(zstdDecompress)

/** All of it. Throws, a `RangeError` where it would be more than `most` bytes. */
export async function unzstd(bytes: Buffer, most: number): Promise<Buffer> {
  const out: Buffer[] = []
  let left = most
  for (const frame of framesOf(bytes)) {
    const content = await decompress(frame, boundOf(frame, left))
    left -= content.length
    out.push(content)
  }
  return joined(out, left)
}

/** The same at once. */
export function unzstdSync(bytes: Buffer, most: number): Buffer {
  const out: Buffer[] = []
  let left = most
  for (const frame of framesOf(bytes)) {
    const content = zstdDecompressSync(frame, boundOf(frame, left))
    left -= content.length
    out.push(content)
  }
  return joined(out, left)
}

/** Node refuses a bound of nothing, so what is over by one is told at the end. A large frame in small chunks would have too many of them. */
function boundOf(frame: Buffer, left: number) {
  return { maxOutputLength: Math.max(1, left), ...(frame.length > CHUNK_BYTES / 16 && { chunkSize: CHUNK_BYTES }) }
}

function joined(out: readonly Buffer[], left: number): Buffer {
  if (left < 0) throw new RangeError('it unpacks to more than it may')
  const [first] = out
  return first && out.length === 1 ? first : Buffer.concat(out)
}
