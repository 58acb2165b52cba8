import { WireError, sqlState, violation } from './wire-error.ts'

// The header walk: every byte is looked at only if it is in one of the five-byte headers. Payloads are counted, not sliced,
// except those of the types that somebody decides on. What may go on is handed over in the largest runs possible, so a chunk
// without anything to replace is one write.

/** What a walker does with frames of a type. A type that is in neither list is a protocol violation. */
export type FrameTypes = {
  /** Letters of the types whose payload is wanted whole. */
  readonly wanted: string
  /** Letters of the types that are only counted. */
  readonly counted: string
}

/** Frontend messages: PostgreSQL manual 54.7. FunctionCall is wanted so that it can be decided on. */
export const clientFrames: FrameTypes = { wanted: 'QPBDECFXf', counted: 'SHdcp' }

export type FrameHandler = {
  /**
   * A whole frame of a wanted type; its payload is `bytes[start, end)`, valid only during the call. Undefined lets it pass;
   * a buffer (which may be empty) goes on in its place. `WAIT` stops the walk before the frame, which comes again after `goOn`.
   */
  frame(type: number, bytes: Buffer, start: number, end: number): Buffer | undefined
  /** The next bytes to go on, in order: a range of the pushed chunk, or of a buffer that nobody changes later. */
  forward(bytes: Buffer, start: number, end: number): void
}

export type FrameLimits = {
  /** A wanted frame must fit in memory; beyond this it is refused (54000). */
  readonly wantedBytes: number
  /** The longest frame that is let through at all. */
  readonly frameBytes: number
}

/** 16 MiB of statement or parameters; 1 GiB less one byte is what the server itself accepts (PQ_LARGE_MESSAGE_LIMIT). */
export const defaultFrameLimits: FrameLimits = { wantedBytes: 16 * 1024 * 1024, frameBytes: 0x3fffffff }

const HEADER_BYTES = 5
const UNKNOWN = 0
const COUNTED = 1
const WANTED = 2

/** The answer of a handler that cannot say yet. Compared by identity; nothing of it is sent. */
export const WAIT: Buffer = Buffer.alloc(0)

/** Walks one direction of one connection. After a violation it stays broken and throws the same error again. */
export class FrameWalker {
  /** Frames completed or begun so far, by type byte. */
  readonly frames: Float64Array = new Float64Array(256)
  /** Payload bytes of those frames, by type byte. */
  readonly payloadBytes: Float64Array = new Float64Array(256)
  readonly #handler: FrameHandler
  readonly #limits: FrameLimits
  readonly #treatment: Uint8Array
  readonly #head: Uint8Array = new Uint8Array(HEADER_BYTES)
  #headFill = 0
  /** Payload bytes of a counted frame still to come. */
  #skip = 0
  /** A wanted frame that spans chunks, header included. */
  #held: Buffer | undefined
  #heldFill = 0
  /** What came since the frame that waits, that frame first. */
  #parked: Buffer[] | undefined
  #parkedBytes = 0
  #broken: WireError | undefined

  constructor(types: FrameTypes, handler: FrameHandler, limits: FrameLimits = defaultFrameLimits) {
    this.#handler = handler
    this.#limits = limits
    this.#treatment = treatmentOf(types)
  }

  /** True where a frame has begun and not ended: bytes of our own must not be written here. */
  get insideFrame(): boolean {
    return this.#skip > 0 || this.#headFill > 0 || this.#held !== undefined
  }

  /** Bytes of the frame in hand that went on in part: only behind them may something else be said. */
  get owedBytes(): number {
    return this.#skip
  }

  /** Hands over what is owed of the frame in hand, from `chunk[0, length)`, and drops the rest. */
  finishFrame(chunk: Buffer, length: number = chunk.length): void {
    const taken = Math.min(this.#skip, length)
    this.#skip -= taken
    this.#pass(chunk, 0, taken)
  }

  /** Bytes that came since a frame began to wait. */
  get parkedBytes(): number {
    return this.#parkedBytes
  }

  /** Walks on from the frame that waits. */
  goOn(): void {
    if (!this.#parked) return
    const rest = Buffer.concat(this.#parked)
    this.#parked = undefined
    this.#parkedBytes = 0
    this.push(rest)
  }

  /** Walks `chunk[0, length)`. The memory may be reused once the forwarded ranges are written. */
  push(chunk: Buffer, length: number = chunk.length): void {
    if (this.#broken) throw this.#broken
    if (this.#parked) return this.#park(chunk, 0, length)
    try {
      this.#walk(chunk, length)
    } catch (error) {
      if (error instanceof WireError) this.#broken = error
      throw error
    }
  }

  #walk(chunk: Buffer, length: number): void {
    let at = this.#resume(chunk, length)
    if (this.#parked) return this.#park(chunk, at, length)
    let passFrom = at
    if (this.#skip > 0) {
      at += this.#skip < length - at ? this.#skip : length - at
      this.#skip -= at - passFrom
    }
    while (length - at >= HEADER_BYTES) {
      const type = chunk[at] ?? 0
      const sizeBytes = readSize(chunk, at + 1)
      this.#count(type, sizeBytes, chunk, passFrom, at)
      const frameEnd = at + 1 + sizeBytes
      if (this.#treatment[type] === COUNTED) {
        if (frameEnd > length) this.#skip = frameEnd - length
        at = frameEnd > length ? length : frameEnd
        continue
      }
      if (frameEnd > length) {
        this.#pass(chunk, passFrom, at)
        this.#hold(chunk, at, length, 1 + sizeBytes)
        return
      }
      const instead = this.#handler.frame(type, chunk, at + HEADER_BYTES, frameEnd)
      if (instead === WAIT) {
        this.#pass(chunk, passFrom, at)
        this.#uncount(type, sizeBytes)
        return this.#park(chunk, at, length)
      }
      if (instead !== undefined) {
        this.#pass(chunk, passFrom, at)
        this.#pass(instead, 0, instead.length)
        passFrom = frameEnd
      }
      at = frameEnd
    }
    this.#pass(chunk, passFrom, at)
    while (at < length) this.#head[this.#headFill++] = chunk[at++] ?? 0
  }

  /** Completes a header or a wanted frame that an earlier chunk began; returns where the walk goes on. */
  #resume(chunk: Buffer, length: number): number {
    let at = 0
    if (this.#headFill > 0) {
      while (this.#headFill < HEADER_BYTES && at < length) this.#head[this.#headFill++] = chunk[at++] ?? 0
      if (this.#headFill < HEADER_BYTES) return at
      this.#headFill = 0
      const head = Buffer.from(this.#head)
      const type = head[0] ?? 0
      const sizeBytes = readSize(head, 1)
      this.#count(type, sizeBytes, head, 0, 0)
      if (this.#treatment[type] === COUNTED) {
        this.#skip = sizeBytes - 4
        this.#pass(head, 0, HEADER_BYTES)
        return at
      }
      this.#hold(head, 0, HEADER_BYTES, 1 + sizeBytes)
    }
    if (!this.#held) return at
    const taken = Math.min(this.#held.length - this.#heldFill, length - at)
    chunk.copy(this.#held, this.#heldFill, at, at + taken)
    this.#heldFill += taken
    if (this.#heldFill === this.#held.length) this.#release(this.#held)
    return at + taken
  }

  #release(held: Buffer): void {
    this.#held = undefined
    this.#heldFill = 0
    const instead = this.#handler.frame(held[0] ?? 0, held, HEADER_BYTES, held.length)
    if (instead === WAIT) {
      this.#uncount(held[0] ?? 0, held.length - 1)
      return this.#park(held, 0, held.length)
    }
    const out = instead ?? held
    this.#pass(out, 0, out.length)
  }

  /** Checks a header and counts it. Throws on a violation, after handing over what came before it. */
  #count(type: number, sizeBytes: number, chunk: Buffer, passFrom: number, at: number): void {
    const treatment = this.#treatment[type] ?? UNKNOWN
    if (treatment === UNKNOWN) this.#break(violation(`invalid message type ${type}`), chunk, passFrom, at)
    if (sizeBytes < 4 || sizeBytes > this.#limits.frameBytes)
      this.#break(violation(`invalid message length ${sizeBytes}`), chunk, passFrom, at)
    if (treatment === WANTED && sizeBytes > this.#limits.wantedBytes)
      this.#break(tooLarge(this.#limits.wantedBytes), chunk, passFrom, at)
    this.frames[type] = (this.frames[type] ?? 0) + 1
    this.payloadBytes[type] = (this.payloadBytes[type] ?? 0) + sizeBytes - 4
  }

  /** The frame is counted when it comes again. */
  #uncount(type: number, sizeBytes: number): void {
    this.frames[type] = (this.frames[type] ?? 0) - 1
    this.payloadBytes[type] = (this.payloadBytes[type] ?? 0) - (sizeBytes - 4)
  }

  /** A copy: the memory of a chunk is used again. */
  #park(chunk: Buffer, start: number, end: number): void {
    this.#parked ??= []
    if (end === start) return
    this.#parked.push(Buffer.from(chunk.subarray(start, end)))
    this.#parkedBytes += end - start
  }

  #break(error: WireError, chunk: Buffer, passFrom: number, at: number): never {
    this.#pass(chunk, passFrom, at)
    throw error
  }

  #hold(bytes: Buffer, start: number, end: number, frameBytes: number): void {
    this.#held = Buffer.allocUnsafeSlow(frameBytes)
    this.#heldFill = bytes.copy(this.#held, 0, start, end)
    if (this.#heldFill === frameBytes) this.#release(this.#held)
  }

  #pass(bytes: Buffer, start: number, end: number): void {
    if (end > start) this.#handler.forward(bytes, start, end)
  }
}

function treatmentOf(types: FrameTypes): Uint8Array {
  const treatment = new Uint8Array(256)
  for (const letter of types.counted) treatment[letter.charCodeAt(0)] = COUNTED
  for (const letter of types.wanted) treatment[letter.charCodeAt(0)] = WANTED
  return treatment
}

function readSize(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
}

function tooLarge(limitBytes: number): WireError {
  return new WireError(
    sqlState.programLimitExceeded,
    `A statement or its parameters are longer than ${limitBytes} bytes, the most this gateway decides on.`,
  )
}
