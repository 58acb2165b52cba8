import { frequent } from './frequent.ts'
import type { Fragment } from './fragments.ts'
import type { ByteSet } from './pattern.ts'

/** A multiplicative hash: 16 bits of the product. */
export const HASH_SHIFT = 16

/** Below this place frequencies fall off slowly. */
const EVEN_FROM = 12

/** How many multipliers are tried; each costs a few microseconds. */
const TRIES = 256

/**
 * The multiplier under which the words that text is full of fall least on those that are looked for: one unlucky pair (four spaces and anything) would cost more
 * than all the rest.
 */
export function multiplierFor(fragments: readonly Fragment[]): number {
  const words = new Set(fragments.flatMap((fragment) => fragment.words))
  const table = new Uint8Array(TABLE_BYTES)
  let [best, least] = [0, Infinity]
  for (let [n, multiplier] = [0, 0x2b8198ad]; n < TRIES; n += 1) {
    table.fill(0)
    for (const word of words) table[hashOf(word, multiplier)] = 1
    let cost = 0
    for (const [word, at] of frequent)
      if (table[hashOf(word, multiplier)] === 1 && !words.has(word)) cost += 1 / (at + EVEN_FROM)
    if (cost < least) [best, least] = [multiplier, cost]
    // The generator of Numerical Recipes; only odd numbers lose nothing in a product.
    multiplier = (Math.imul(multiplier, 1_664_525) + 1_013_904_223) | 1
  }
  return best
}

/** One byte for each value of the hash. */
export const TABLE_BYTES = 65_536

/**
 * Two tables of hashes of words. Zero is none of them; else each bit says for the three low bits of a byte whether it may stand behind such a word, in
 * the second table before it.
 */
export function hashTables(
  fragments: readonly Fragment[],
  multiplier: number,
): {
  readonly after: Uint8Array
  readonly before: Uint8Array
} {
  const tables = { after: new Uint8Array(TABLE_BYTES), before: new Uint8Array(TABLE_BYTES) }
  for (const { words, after, before } of fragments) {
    const [afterBits, beforeBits] = [lowBits(after), lowBits(before)]
    for (const word of words) {
      const hash = hashOf(word, multiplier)
      tables.after[hash] = (tables.after[hash] ?? 0) | afterBits
      tables.before[hash] = (tables.before[hash] ?? 0) | beforeBits
    }
  }
  return tables
}

export function hashOf(word: number, multiplier: number): number {
  return Math.imul(word, multiplier) >>> HASH_SHIFT
}

function lowBits(set: ByteSet): number {
  return set.reduce((bits, is, byte) => (is === 1 ? bits | (1 << (byte & 7)) : bits), 0)
}

/** A-Z, a-z, 0-9, and both pairs of the two last characters (RFC 4648 §4, §5). */
export const IS_BASE64: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte)) ? 1 : 0,
)
