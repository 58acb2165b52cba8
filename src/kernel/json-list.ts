/**
 * A list in JSON, item by item, as its bytes come: of an answer of any length only one item is held. The list is the whole document, or the value of
 * one key at its top; what stands beside it comes at the end.
 */
export type ListLimits = {
  /** Bytes of one item. */
  readonly itemBytes: number
  /** Bytes of all that is not an item. */
  readonly restBytes: number
}
const LIMITS: ListLimits = { itemBytes: 4 * 1024 * 1024, restBytes: 256 * 1024 }

/** It is no JSON, not the list that was expected, or larger than anything of its kind. */
export class ListInvalid extends Error {
  override readonly name = 'ListInvalid'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Yields each item; returns the document without its items, the list left empty. `key` is undefined where the document is the list. */
export async function* jsonItems(
  body: AsyncIterable<Buffer>,
  key: string | undefined,
  limits: Partial<ListLimits> = {},
): AsyncGenerator<unknown, unknown> {
  const splitter = new Splitter(key, { ...LIMITS, ...limits })
  for await (const chunk of body) yield* splitter.add(chunk)
  return splitter.end()
}

/** Text that is collected piece by piece up to a bound. */
class Piece {
  readonly #most: number
  #parts: Buffer[] = []
  #size = 0

  constructor(most: number) {
    this.#most = most
  }

  get isBlank(): boolean {
    return this.#parts.every((part) => part.every((byte) => byte <= 0x20))
  }

  clear(): void {
    this.#parts = []
    this.#size = 0
  }

  add(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#size += bytes.length
    if (this.#size > this.#most) throw new ListInvalid('a part of the answer is larger than anything it should hold')
    this.#parts.push(bytes)
  }

  take(): unknown {
    const text = Buffer.concat(this.#parts).toString('utf8')
    this.clear()
    try {
      return JSON.parse(text)
    } catch (error) {
      throw new ListInvalid('the answer is not JSON', { cause: error })
    }
  }
}

/** Programs in Go write an empty list as null. */
function isNullAt(rest: unknown, key: Buffer | undefined): boolean {
  if (typeof rest !== 'object' || rest === null || key === undefined) return false
  return Object.entries(rest).some(([name, value]) => name === key.toString() && value === null)
}

class Splitter {
  readonly #key: Buffer | undefined
  readonly #rest: Piece
  readonly #item: Piece
  #depth = 0
  #isText = false
  #isEscaped = false
  /** How much of the key the text at the top has been so far; -1 once it is another. */
  #matched = -1
  #isAfterKey = false
  #hasSeen = false
  /** Depth of the list while its items are read. */
  #listAt = -1

  constructor(key: string | undefined, { itemBytes, restBytes }: ListLimits) {
    this.#key = key === undefined ? undefined : Buffer.from(key)
    this.#rest = new Piece(restBytes)
    this.#item = new Piece(itemBytes)
  }

  *add(chunk: Buffer): Generator<unknown, void> {
    let from = 0
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0
      if (this.#isText) this.#inText(byte)
      else if (byte === QUOTE) {
        this.#isText = true
        this.#matched = this.#depth === 1 ? 0 : -1
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        const isList = byte === OPEN_LIST && this.#isTheList()
        this.#depth += 1
        if (!isList) continue
        this.#rest.add(chunk.subarray(from, at + 1))
        from = at + 1
        this.#listAt = this.#depth
        this.#hasSeen = true
      } else if (byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        const isEnd = this.#depth === this.#listAt
        if (isEnd) {
          yield* this.#taken(chunk.subarray(from, at))
          from = byte === COMMA ? at + 1 : at
        }
        if (byte !== COMMA) {
          this.#depth -= 1
          if (isEnd) this.#listAt = -1
        } else if (this.#depth === 1) this.#isAfterKey = false
      } else if (byte === COLON && this.#depth === 1) this.#isAfterKey = this.#matched === this.#key?.length
    }
    this.#part().add(chunk.subarray(from))
  }

  end(): unknown {
    if (this.#depth !== 0 || this.#isText) throw new ListInvalid('the answer ends in the middle')
    const rest = this.#rest.take()
    if (!this.#hasSeen && !isNullAt(rest, this.#key))
      throw new ListInvalid('the answer is not the list that was asked for')
    return rest
  }

  #inText(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false
    else if (byte === BACKSLASH) {
      this.#isEscaped = true
      this.#matched = -1
    } else if (byte === QUOTE) this.#isText = false
    else if (this.#matched >= 0) this.#matched = this.#key?.[this.#matched] === byte ? this.#matched + 1 : -1
  }

  #isTheList(): boolean {
    if (this.#hasSeen) return false
    return this.#key === undefined ? this.#depth === 0 : this.#depth === 1 && this.#isAfterKey
  }

  #part(): Piece {
    return this.#listAt < 0 ? this.#rest : this.#item
  }

  *#taken(bytes: Buffer): Generator<unknown, void> {
    this.#item.add(bytes)
    if (!this.#item.isBlank) yield this.#item.take()
    else this.#item.clear()
  }
}
