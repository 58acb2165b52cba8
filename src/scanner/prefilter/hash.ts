import { folded, type Fragment } from './fragments.ts'
import { frequent } from './frequent.ts'

/** A multiplicative hash: 16 bits of the product. */
export const HASH_SHIFT = 16
/** How many values it has. */
export const HASHES = 65_536

/** Below this place frequencies fall off slowly. */
const EVEN_FROM = 12

/** How many multipliers are tried; each costs a few microseconds. */
const TRIES = 256

/**
 * The multiplier under which the words that text is full of fall least on those that are looked for: one unlucky pair (four spaces and anything) would cost more
 * than all the rest.
 */
export function multiplierFor(fragments: readonly Fragment[]): number {
  const words = Int32Array.from(new Set(fragments.flatMap((fragment) => fragment.words)))
  const known = new Set(words)
  const others = [...frequent].map(([word, at]) => [folded(word), 1 / (at + EVEN_FROM)] as const)
  const strange = others.filter(([word]) => !known.has(word))
  const table = new Uint16Array(HASHES)
  let [best, least] = [0, Infinity]
  for (let [n, multiplier] = [1, 0x2b8198ad]; n <= TRIES; n += 1) {
    for (const word of words) table[hashOf(word, multiplier)] = n
    let cost = 0
    for (const [word, weight] of strange) if (table[hashOf(word, multiplier)] === n) cost += weight
    if (cost < least) [best, least] = [multiplier, cost]
    // The generator of Numerical Recipes; only odd numbers lose nothing in a product.
    multiplier = (Math.imul(multiplier, 1_664_525) + 1_013_904_223) | 1
  }
  return best
}

export function hashOf(word: number, multiplier: number): number {
  return Math.imul(word, multiplier) >>> HASH_SHIFT
}

/** Which fragments have a word of each hash; none of most. */
export function slotsOf(fragments: readonly Fragment[], multiplier: number): ReadonlyMap<number, readonly Fragment[]> {
  const slots = new Map<number, Set<Fragment>>()
  for (const fragment of fragments) {
    for (const word of fragment.words) {
      const hash = hashOf(word, multiplier)
      const same = slots.get(hash)
      if (same) same.add(fragment)
      else slots.set(hash, new Set([fragment]))
    }
  }
  return new Map(Array.from(slots, ([hash, some]) => [hash, [...some]]))
}

/** A-Z, a-z, 0-9, and both pairs of the two last characters (RFC 4648 §4, §5). */
export const IS_BASE64: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte)) ? 1 : 0,
)
