import type { Fragment } from './fragments.ts'

/** Knuth's multiplicative hash: 16 bits of the product. */
export const MULTIPLIER = 0x9e3779b1 | 0
export const HASH_SHIFT = 16
/** One bit for each value of the hash. */
export const TABLE_BYTES = 65_536 / 8

/** The bits of the fragments of one size. */
export function hashTable(fragments: readonly Fragment[], size: Fragment['size']): Uint8Array {
  const table = new Uint8Array(TABLE_BYTES)
  for (const fragment of fragments) {
    if (fragment.size !== size) continue
    const hash = Math.imul(fragment.word, MULTIPLIER) >>> HASH_SHIFT
    table[hash >> 3] = (table[hash >> 3] ?? 0) | (1 << (hash & 7))
  }
  return table
}

export function isInTable(table: Uint8Array, word: number): boolean {
  const hash = Math.imul(word, MULTIPLIER) >>> HASH_SHIFT
  return (((table[hash >> 3] ?? 0) >> (hash & 7)) & 1) === 1
}

/** A-Z, a-z, 0-9, and both pairs of the two last characters (RFC 4648 §4, §5). */
export const IS_BASE64: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte)) ? 1 : 0,
)
