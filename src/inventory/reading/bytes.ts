import { sha256Latin1 } from '../../kernel/crypto.ts'

export const DIGEST_BYTES = 16

const START_BYTES = 1 << 16
/** More is given back when it is cleared. */
const KEEP_BYTES = 1 << 20
/** A text of up to `SHORT` characters begins with their number, others with one of these and then their number. */
const [SHORT, LONG, WIDE] = [253, 254, 255]

/** Values as bytes, one behind the other, each of which says where it ends: what was written otherwise has other bytes. No text is made of them. */
export class Bytes {
  #bytes = new Uint8Array(START_BYTES)
  #end = 0
  readonly #float = new Float64Array(1)
  readonly #ofFloat = new Uint8Array(this.#float.buffer)

  get end(): number {
    return this.#end
  }

  /** Forgets what is behind this end. */
  cut(end: number): void {
    this.#end = end
    if (end === 0 && this.#bytes.length > KEEP_BYTES) this.#bytes = new Uint8Array(START_BYTES)
  }

  /** Of what stands between two ends; 16 bytes as latin1. */
  digestOf(from: number, to: number): string {
    return sha256Latin1(this.between(from, to)).slice(0, DIGEST_BYTES)
  }

  /** Until the next value is written. */
  between(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to)
  }

  byte(value: number): void {
    if (this.#end === this.#bytes.length) this.#room(1)
    this.#bytes[this.#end] = value
    this.#end += 1
  }

  /** Of 32 bits. */
  size(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.byte((value >>> shift) & 0xff)
  }

  number(value: number): void {
    this.#room(8)
    this.#float[0] = value
    for (let at = 0; at < 8; at += 1) this.#bytes[this.#end + at] = this.#ofFloat[at] ?? 0
    this.#end += 8
  }

  /** A byte for each character; or two, where one has no room in a byte. */
  text(value: string): void {
    const { length } = value
    const begin = this.#end
    this.#room(length + 5)
    if (length <= SHORT) this.byte(length)
    else {
      this.byte(LONG)
      this.size(length)
    }
    const bytes = this.#bytes
    let end = this.#end
    for (let at = 0; at < length; at += 1) {
      const code = value.charCodeAt(at)
      if (code > 0xff) {
        this.#end = begin
        return this.#wide(value)
      }
      bytes[end] = code
      end += 1
    }
    this.#end = end
  }

  #wide(value: string): void {
    this.byte(WIDE)
    this.size(value.length)
    for (let at = 0; at < value.length; at += 1) {
      const code = value.charCodeAt(at)
      this.byte(code & 0xff)
      this.byte(code >>> 8)
    }
  }

  #room(bytes: number): void {
    const needed = this.#end + bytes
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    larger.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = larger
  }
}
