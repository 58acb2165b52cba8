import { WireError, sqlState, violation } from './wire-error.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes UTF-8 strictly: client_encoding is pinned, so anything else is a mistake (22021), not a guess. */
function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new WireError(
      sqlState.invalidText,
      'The message holds bytes that are not UTF-8, the encoding this gateway speaks.',
    )
  }
}

/** Reads one payload in order and never outside it; every shortfall is a protocol violation. */
export class PayloadReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, start: number = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#take(1))
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  /** A count is never negative; the server reads it as unsigned. */
  count(): number {
    return this.#bytes.readUInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  /** A view, valid as long as the bytes underneath are. */
  view(sizeBytes: number): Buffer {
    const at = this.#take(sizeBytes)
    return this.#bytes.subarray(at, at + sizeBytes)
  }

  /** The bytes of a string before its terminating NUL. */
  cstringBytes(): Buffer {
    const nul = this.#bytes.indexOf(0, this.#at)
    if (nul < 0 || nul >= this.#end) throw violation('a string in the message has no end')
    const view = this.#bytes.subarray(this.#at, nul)
    this.#at = nul + 1
    return view
  }

  cstring(): string {
    return decodeText(this.cstringBytes())
  }

  /** Refuses bytes after the last field, as the server's pq_getmsgend does. */
  finish(): void {
    if (this.#at !== this.#end) throw violation('the message has bytes after its last field')
  }

  #take(sizeBytes: number): number {
    if (sizeBytes < 0 || sizeBytes > this.#end - this.#at) throw violation('the message is shorter than it says')
    const at = this.#at
    this.#at += sizeBytes
    return at
  }
}
