/**
 * A recording is a row of Zstandard frames, one per flush (RFC 8878 §3: frames may follow each other, and `zstd -d` reads them as one).
 * A frame that was written whole can be read whatever happened after it, and no compressor is held in memory for an idle session.
 */
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib'
import { zstdFrameEnd } from '../../kernel/zstd.ts'

/** Larger than any frame the recorder writes: a batch and one largest operation, its values in base64. */
const FRAME_MAX_BYTES = 32 * 1024 * 1024

/** The bytes are not frames of ours: damaged or written by somebody else. */
export class FrameBroken extends Error {
  override readonly name = 'FrameBroken'
}

/** Lines repeat themselves so much that the higher levels cost more than they save. */
const FASTEST = { [constants.ZSTD_c_compressionLevel]: 1 }
const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** An ordinary batch is packed sooner than another thread is told to do it; a larger one would hold up everybody else. */
const HERE_MAX_BYTES = 512 * 1024

export async function packFrame(bytes: Uint8Array): Promise<Buffer> {
  const options = { params: FASTEST, pledgedSrcSize: bytes.length }
  return bytes.length > HERE_MAX_BYTES ? compress(bytes, options) : zstdCompressSync(bytes, options)
}

/** The content of one whole frame; throws `FrameBroken`. */
async function unpackFrame(frame: Uint8Array): Promise<Buffer> {
  try {
    return await decompress(frame, { maxOutputLength: FRAME_MAX_BYTES })
  } catch (error) {
    throw new FrameBroken('a frame of the recording does not unpack', { cause: error })
  }
}

/** How long the frame at the start of `bytes` is, or undefined when more bytes are needed; throws `FrameBroken`. */
function frameLength(bytes: Buffer): number | undefined {
  const end = zstdFrameEnd(bytes, 0)
  if (end === undefined) throw new FrameBroken('the recording holds bytes that are no frame')
  if (end > FRAME_MAX_BYTES) throw new FrameBroken('a frame of the recording is larger than any we write')
  return end <= bytes.length ? end : undefined
}

export type Unpacked = { readonly content: Buffer; readonly storedBytes: number }

/** The frames of a stored stream. Ends quietly before a frame that is not whole: it is still being written, or was cut. */
export async function* unpackFrames(stored: AsyncIterable<Buffer>): AsyncGenerator<Unpacked> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const piece of stored) {
    pending = pending.length === 0 ? piece : Buffer.concat([pending, piece])
    for (;;) {
      const length = frameLength(pending)
      if (length === undefined) break
      yield { content: await unpackFrame(pending.subarray(0, length)), storedBytes: length }
      pending = pending.subarray(length)
    }
  }
}
