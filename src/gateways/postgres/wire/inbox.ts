import type { Socket } from 'node:net'
import { WireError } from './wire-error.ts'
import { UpstreamError, type Sink } from './upstream.ts'

/** Nothing a server says before its first ReadyForQuery is longer in total. */
const MOST_STARTUP_BYTES = 1024 * 1024
const HEADER_BYTES = 5

export type Frame = { readonly type: string; readonly payload: Buffer }

/** What a server sends while a connection starts, frame by frame; afterwards everything goes to a sink. */
export class Inbox {
  #pending: Buffer = Buffer.alloc(0)
  #seenBytes = 0
  #wake: (() => void) | undefined
  #over: Error | undefined
  #sink: Sink | undefined
  #isSettled = false

  /** Takes bytes from the socket; false where it should stop reading. */
  deliver(bytes: Buffer, length: number): boolean {
    if (this.#sink) return this.#sink(bytes, length)
    this.#seenBytes += length
    if (this.#seenBytes > MOST_STARTUP_BYTES && !this.#isSettled)
      this.end(new UpstreamError('protocol', 'The server sent too much before it was ready.'))
    else this.#pending = Buffer.concat([this.#pending, bytes.subarray(0, length)])
    this.#wake?.()
    return !this.#isSettled
  }

  end(error: Error): void {
    this.#over ??= error
    this.#wake?.()
  }

  async frame(): Promise<Frame> {
    const header = await this.#atLeast(HEADER_BYTES)
    const sizeBytes = header.readInt32BE(1)
    if (sizeBytes < 4 || sizeBytes > MOST_STARTUP_BYTES)
      throw new UpstreamError('protocol', 'What answers there does not speak the PostgreSQL protocol.')
    const whole = await this.#atLeast(1 + sizeBytes)
    this.#pending = whole.subarray(1 + sizeBytes)
    return { type: String.fromCharCode(whole[0] ?? 0), payload: whole.subarray(HEADER_BYTES, 1 + sizeBytes) }
  }

  /** No more frames are read here: whatever comes waits for `start`. */
  settle(): void {
    this.#isSettled = true
  }

  start(socket: Socket, sink: Sink): void {
    this.#sink = sink
    const first = this.#pending
    this.#pending = Buffer.alloc(0)
    if (first.length === 0 || sink(first, first.length)) socket.resume()
  }

  async #atLeast(sizeBytes: number): Promise<Buffer> {
    while (this.#pending.length < sizeBytes) {
      if (this.#over) throw this.#over
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#pending
  }
}

/** A violation of the protocol by a server is its fault, not the client's. */
export function asUpstreamError(error: unknown): unknown {
  return error instanceof WireError
    ? new UpstreamError('protocol', `The server broke the protocol: ${error.message}.`)
    : error
}
