import { GRPC, GrpcError } from './call.ts'

/** A byte that says whether it is compressed, and four of length. */
export const HEAD_BYTES = 5

/** A message with its length before it, not compressed. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + message.length)
  frame.writeUInt8(0, 0)
  frame.writeUInt32BE(message.length, 1)
  message.copy(frame, HEAD_BYTES)
  return frame
}

/** Cuts messages out of bytes as they come. Throws `GrpcError` for one that is longer than `most`. */
export class Frames {
  #rest: Buffer = Buffer.alloc(0)
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  /** The messages that are whole with these bytes. */
  push(chunk: Buffer): Buffer[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const found: Buffer[] = []
    while (bytes.length >= HEAD_BYTES) {
      if (bytes.readUInt8(0) !== 0) throw new GrpcError(GRPC.unimplemented, 'compression is not spoken')
      const length = bytes.readUInt32BE(1)
      if (length > this.#most) throw new GrpcError(GRPC.resourceExhausted, 'the message is too long')
      if (bytes.length < HEAD_BYTES + length) break
      found.push(bytes.subarray(HEAD_BYTES, HEAD_BYTES + length))
      bytes = bytes.subarray(HEAD_BYTES + length)
    }
    this.#rest = bytes
    return found
  }
}

/** The one message of a whole body. Compression is not spoken: a few bytes would become many. */
export function takeFrame(body: Buffer): Buffer | GrpcError {
  if (body.length < HEAD_BYTES) return new GrpcError(GRPC.invalidArgument, 'a message is cut off')
  if (body.readUInt8(0) !== 0) return new GrpcError(GRPC.unimplemented, 'compression is not spoken')
  const length = body.readUInt32BE(1)
  if (length !== body.length - HEAD_BYTES) return new GrpcError(GRPC.invalidArgument, 'a call has one message')
  return body.subarray(HEAD_BYTES)
}
