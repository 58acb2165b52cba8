/**
 * What is looked at of a server's messages before the driver reads them. It looks for the end of a text without an end of its own: over a message
 * whose text does not end it would look for ever, and the process with it.
 */
import { LineCut } from '../../kernel/driver-line.ts'

const HEAD_BYTES = 5
/** A heading of 1,600 columns, or a failure with all its words, is a tenth of this. */
const TEXTS_BYTES = 1024 * 1024
/** RowDescription (PostgreSQL, 53.7): what stands behind the name of a column. */
const COLUMN_BYTES = 18

/** Whether the texts of a message end within it; of other messages than these the driver reads only what has a length. */
const ENDS: Readonly<Record<string, (body: Buffer) => boolean>> = {
  // Fields of a failure or a notice, a zero behind the last; ways to log in, the same.
  E: endsTwice,
  N: endsTwice,
  R: (body) => body.length < 4 || body.readUInt32BE(0) !== 10 || endsTwice(body.subarray(4)),
  C: (body) => body.includes(0),
  S: (body) => hasTexts(body, 0, 2),
  A: (body) => hasTexts(body, 4, 2),
  T: areColumns,
}

function endsTwice(body: Buffer): boolean {
  return body.at(-1) === 0 && (body.length === 1 || body.at(-2) === 0)
}

function hasTexts(body: Buffer, from: number, count: number): boolean {
  let at = from
  for (let found = 0; found < count; found += 1) {
    const end = body.indexOf(0, at)
    if (end < 0) return false
    at = end + 1
  }
  return true
}

function areColumns(body: Buffer): boolean {
  if (body.length < 2) return false
  let at = 2
  for (let left = body.readUInt16BE(0); left > 0; left -= 1) {
    const end = body.indexOf(0, at)
    if (end < 0) return false
    at = end + 1 + COLUMN_BYTES
    if (at > body.length) return false
  }
  return true
}

/** Follows messages piece by piece; throws `LineCut` for what no server sends. */
export class ServerMessages {
  readonly #maxBytes: number
  #head: Buffer = Buffer.alloc(0)
  #body: Buffer[] = []
  #left = 0
  #isEnding: ((body: Buffer) => boolean) | undefined

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  see(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#left === 0) rest = this.#begin(rest)
      const taken = rest.subarray(0, this.#left)
      rest = rest.subarray(taken.length)
      this.#left -= taken.length
      if (this.#isEnding) this.#body.push(taken)
      if (this.#left === 0) this.#end()
    }
  }

  #begin(chunk: Buffer): Buffer {
    const needed = HEAD_BYTES - this.#head.length
    const head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk.subarray(0, needed)])
    if (head.length < HEAD_BYTES) {
      this.#head = Buffer.from(head)
      return chunk.subarray(chunk.length)
    }
    this.#head = Buffer.alloc(0)
    const size = head.readUInt32BE(1) - 4
    if (size < 0) throw new LineCut('no-protocol')
    this.#isEnding = ENDS[head.toString('latin1', 0, 1)]
    if (size > (this.#isEnding ? TEXTS_BYTES : this.#maxBytes)) throw new LineCut('too-much')
    this.#left = size
    return chunk.subarray(needed)
  }

  #end(): void {
    const [isEnding, body] = [this.#isEnding, this.#body]
    this.#isEnding = undefined
    this.#body = []
    if (isEnding && !isEnding(Buffer.concat(body))) throw new LineCut('no-protocol')
  }
}
