/** The data types of the SSH protocol (RFC 4251 §5): what keys, certificates and revocation lists are made of. */

/** A length of four bytes, then the bytes. */
export function string(content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([uint32(bytes.length), bytes])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

/** Puts many fields into one buffer: what is signed in great numbers is written without a buffer for each field. */
export class WireWriter {
  #bytes: Buffer
  #at = 0

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafe(sizeBytes)
  }

  raw(content: Uint8Array): this {
    this.#room(content.length)
    this.#bytes.set(content, this.#at)
    this.#at += content.length
    return this
  }

  string(content: Uint8Array | string): this {
    const size = typeof content === 'string' ? Buffer.byteLength(content) : content.length
    this.uint32(size)
    if (typeof content !== 'string') return this.raw(content)
    this.#room(size)
    this.#at += this.#bytes.write(content, this.#at)
    return this
  }

  uint32(value: number): this {
    this.#room(4)
    this.#at = this.#bytes.writeUInt32BE(value, this.#at)
    return this
  }

  uint64(value: bigint): this {
    this.#room(8)
    this.#at = this.#bytes.writeBigUInt64BE(value, this.#at)
    return this
  }

  /** A string of what `write` puts into it. */
  nested(write: () => void): this {
    const lengthAt = this.#at
    this.uint32(0)
    write()
    this.#bytes.writeUInt32BE(this.#at - lengthAt - 4, lengthAt)
    return this
  }

  /** What was written so far; it stays as it is while nothing more is written. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  #room(sizeBytes: number): void {
    if (this.#at + sizeBytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe((this.#at + sizeBytes) * 2)
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

/** Takes apart what is made of these types. Whatever does not fit exactly throws. */
export class WireReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes)
  }

  string(): Buffer {
    return this.#take(this.uint32())
  }

  text(): string {
    return this.string().toString('latin1')
  }

  uint32(): number {
    return this.#take(4).readUInt32BE()
  }

  uint64(): bigint {
    return this.#take(8).readBigUInt64BE()
  }

  /** How far it has been read. */
  get at(): number {
    return this.#at
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  end(): void {
    if (!this.isAtEnd) throw new Error('more follows than belongs there')
  }

  #take(size: number): Buffer {
    const taken = this.#bytes.subarray(this.#at, this.#at + size)
    if (taken.length !== size) throw new Error('it is cut')
    this.#at += size
    return taken
  }
}
