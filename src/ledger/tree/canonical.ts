/** What a leaf may hold: RFC 8785 (JCS) without fractions, which no fact needs and every language prints differently. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue }

/** Deeper than any entry; also what ends a value that holds itself. */
export const DEPTH_MAX = 32

/** RFC 8785: one text per value. Throws a TypeError on anything outside the subset (`undefined`, 1.5, dates, lone surrogates …). */
export function canonicalText(value: unknown): string {
  return encode(value, 0)
}

/** The exact bytes that become a leaf. */
export function canonicalBytes(value: CanonicalValue): Buffer {
  return Buffer.from(canonicalText(value))
}

/** Whether the bytes are those `canonicalBytes` gives for what they say. */
export function isCanonical(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return canonicalText(JSON.parse(text)) === text
  } catch {
    return false
  }
}

function encode(value: unknown, depth: number): string {
  if (depth > DEPTH_MAX) throw new TypeError('A canonical value is not nested this deep.')
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return encodeString(value)
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (Array.isArray(value)) return `[${Array.from(value, (item) => encode(item, depth + 1)).join(',')}]`
  if (typeof value === 'object' && isPlain(value)) {
    // RFC 8785 §3.2.3: by UTF-16 code units, which is how JavaScript compares.
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${members.map(([key, item]) => `${encodeString(key)}:${encode(item, depth + 1)}`).join(',')}}`
  }
  throw new TypeError(`A canonical value holds no ${typeof value === 'number' ? 'such number' : typeof value}.`)
}

// RFC 8785 §3.2.2.2 is what JSON.stringify does, except for lone surrogates, which have no UTF-8.
function encodeString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('A canonical string is well-formed Unicode.')
  return JSON.stringify(text)
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && Object.getOwnPropertySymbols(value).length === 0
}
