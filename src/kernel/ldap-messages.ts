/**
 * What is looked at of an answer besides what the client library makes of it: how long each message says that it is, before any of it is kept, and
 * the cookie of a page. The library takes a page without entries for the last one, whatever its cookie (RFC 2696 §3 lets a server give such pages):
 * what came after it would be missing without a word.
 */
/** One entry with all its values. The library joins the pieces of a message anew with each that comes, so this also bounds time. */
const MESSAGE_BYTES = 32 * 1024 * 1024
/** The library reads each message of a piece within the one before: many small ones would be the end of the stack, and of the process. */
const AT_ONCE_MAX = 1_000
/** The end of a search has a code, a few words and its controls. */
const DONE_BYTES = 1024 * 1024
/** Enough of a message to know its length, its number and what it is. */
const HEAD_BYTES = 24
// RFC 4511 §4.2 ff.: tags of what a server sends.
const SEQUENCE = 0x30
const SEARCH_DONE = 0x65
const CONTROLS = 0xa0
export const PAGED_RESULTS = '1.2.840.113556.1.4.319'
const NONE = Buffer.alloc(0)

/** What was sent is no answer of a directory; a sentence of ours. */
export class LdapRefused extends Error {
  override readonly name = 'LdapRefused'
}

export class LdapMessages {
  #kept: Buffer = NONE
  /** How much of a message there is still to keep, and to let pass. */
  #wanted = HEAD_BYTES
  #passing = 0
  #total = 0
  #cookie: Buffer = NONE
  #atOnce = 0

  /** The cookie of the last page; empty where there are no more. */
  get cookie(): Buffer {
    return this.#cookie
  }

  /** Throws `LdapRefused` for what no directory sends. */
  see(chunk: Buffer): void {
    let rest = chunk
    this.#atOnce = 0
    while (rest.length > 0 || this.#isWhole()) {
      if (this.#passing > 0) {
        const passed = Math.min(this.#passing, rest.length)
        this.#passing -= passed
        rest = rest.subarray(passed)
        continue
      }
      const taken = Math.min(this.#wanted - this.#kept.length, rest.length)
      this.#kept =
        this.#kept.length === 0 ? rest.subarray(0, taken) : Buffer.concat([this.#kept, rest.subarray(0, taken)])
      rest = rest.subarray(taken)
      this.#measure()
      if (this.#isWhole()) this.#finish()
      else if (rest.length === 0) return
    }
  }

  #isWhole(): boolean {
    return this.#total > 0 && this.#kept.length >= this.#total
  }

  #measure(): void {
    if (this.#total > 0 || this.#kept.length < 2) return
    const head = headOf(this.#kept, 0)
    if (head === 'short') return
    if (head === undefined || head.tag !== SEQUENCE) throw new LdapRefused('the server does not speak LDAP')
    if (head.end > MESSAGE_BYTES) throw new LdapRefused('an entry is larger than any directory has')
    // What is shorter than a head is whole as it is.
    if (this.#kept.length < Math.min(HEAD_BYTES, head.end)) {
      this.#wanted = Math.min(HEAD_BYTES, head.end)
      return
    }
    this.#total = head.end
    const number = headOf(this.#kept, head.start)
    const kind = number === undefined || number === 'short' ? undefined : this.#kept[number.end]
    if (kind !== SEARCH_DONE) {
      this.#passing = Math.max(0, head.end - this.#kept.length)
      this.#begin(this.#kept.subarray(head.end))
      return
    }
    if (head.end > DONE_BYTES) throw new LdapRefused('the end of a search is longer than any')
    this.#wanted = head.end
  }

  #finish(): void {
    const message = this.#kept.subarray(0, this.#total)
    this.#cookie = cookieOf(message)
    this.#begin(this.#kept.subarray(this.#total))
  }

  #begin(kept: Buffer): void {
    this.#atOnce += 1
    if (this.#atOnce > AT_ONCE_MAX) throw new LdapRefused('the server sends more messages at once than any directory')
    this.#kept = kept
    this.#total = 0
    this.#wanted = HEAD_BYTES
  }
}

type Head = { readonly tag: number; readonly start: number; readonly end: number }

/** X.690 §8.1.3, definite lengths as RFC 4511 §5.1 asks; undefined for others, `short` where it goes on behind what is there. */
function headOf(bytes: Buffer, at: number): Head | 'short' | undefined {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  if (tag === undefined || first === undefined) return 'short'
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first }
  const count = first & 0x7f
  if (count === 0 || count > 4) return undefined
  if (at + 2 + count > bytes.length) return 'short'
  const start = at + 2 + count
  return { tag, start, end: start + bytes.readUIntBE(at + 2, count) }
}

function* elementsOf(bytes: Buffer, { start, end }: Pick<Head, 'start' | 'end'>): Generator<Head, void> {
  for (let at = start; at < Math.min(end, bytes.length);) {
    const head = headOf(bytes, at)
    if (head === undefined || head === 'short' || head.end > end) return
    yield head
    at = head.end
  }
}

/** RFC 2696 §2: `{ size, cookie }` within the value of the control. */
function cookieOf(message: Buffer): Buffer {
  const [whole] = elementsOf(message, { start: 0, end: message.length })
  if (!whole) return NONE
  const controls = [...elementsOf(message, whole)].find(({ tag }) => tag === CONTROLS)
  for (const control of controls ? elementsOf(message, controls) : []) {
    const parts = [...elementsOf(message, control)]
    const [type, value] = [parts[0], parts.at(-1)]
    if (!type || !value || message.toString('latin1', type.start, type.end) !== PAGED_RESULTS) continue
    const [pair] = elementsOf(message, value)
    const [, cookie] = pair ? elementsOf(message, pair) : []
    if (cookie) return Buffer.from(message.subarray(cookie.start, cookie.end))
  }
  return NONE
}

/** The value of the control that asks for a page. */
export function pageValue(size: number, cookie: Buffer): Buffer {
  const asked = Buffer.from([2, 2, size >> 8, size & 0xff])
  return wrapped(SEQUENCE, Buffer.concat([asked, wrapped(4, cookie)]))
}

function wrapped(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size =
    length < 0x80 ? [length] : [0x84, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
