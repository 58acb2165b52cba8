import type { Fragment } from './fragments.ts'
import type { ByteSet } from './pattern.ts'

/**
 * A multiplicative hash: 16 bits of the product. Of some million odd numbers the one under which the fewest words that source text is full of fall on one
 * that is looked for; nothing else depends on it.
 */
export const MULTIPLIER = 0x2b8198ad
export const HASH_SHIFT = 16
/** One byte for each value of the hash. */
export const TABLE_BYTES = 65_536

/**
 * Two tables of hashes of words. Zero is none of them; else each bit says for the three low bits of a byte whether it may stand behind such a word, in
 * the second table before it.
 */
export function hashTables(fragments: readonly Fragment[]): {
  readonly after: Uint8Array
  readonly before: Uint8Array
} {
  const tables = { after: new Uint8Array(TABLE_BYTES), before: new Uint8Array(TABLE_BYTES) }
  for (const { words, after, before } of fragments) {
    const [afterBits, beforeBits] = [lowBits(after), lowBits(before)]
    for (const word of words) {
      const hash = hashOf(word)
      tables.after[hash] = (tables.after[hash] ?? 0) | afterBits
      tables.before[hash] = (tables.before[hash] ?? 0) | beforeBits
    }
  }
  return tables
}

export function hashOf(word: number): number {
  return Math.imul(word, MULTIPLIER) >>> HASH_SHIFT
}

function lowBits(set: ByteSet): number {
  return set.reduce((bits, is, byte) => (is === 1 ? bits | (1 << (byte & 7)) : bits), 0)
}

/** A-Z, a-z, 0-9, and both pairs of the two last characters (RFC 4648 §4, §5). */
export const IS_BASE64: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte)) ? 1 : 0,
)
