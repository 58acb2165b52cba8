/**
 * From the shapes of rules to what the prefilter looks for: four places of each, those that text fits least often. A fragment may be seen where its
 * shape does not fit; never the other way round.
 */
import { frequent } from './frequent.ts'
import type { ByteSet } from './pattern.ts'
import { ANY, type Shape } from './shape.ts'

/** Letters are folded before words are compared: a bit is set. */
export const FOLD = 0x20202020
const FRAGMENT_BYTES = 4

/** Four places of a shape, and every word (folded, lowest byte first) that they can be. */
export type Fragment = {
  readonly words: readonly number[]
  /** Where in its shape it lies. */
  readonly offset: number
  /** What can stand before and behind it. */
  readonly before: ByteSet
  readonly after: ByteSet
}

/** How often bytes are seen in source text, most frequent first; good for choosing, nothing depends on it. */
const BY_FREQUENCY =
  ' etaoinsrlcdpumfhg\n.,()"\'=:/-_;byvkw0x1{}2z3j4q5678#9<>*[]TASCEINRPDOLMF@!$&+?\\|UBGHVKWXYJZQ%`~^'
const RAREST = 0.0002

const frequencies: Float64Array = frequencyOfBytes()

function frequencyOfBytes(): Float64Array {
  const of = new Float64Array(256).fill(RAREST)
  Array.from(BY_FREQUENCY).forEach((character, at) => {
    of[character.charCodeAt(0)] = Math.max(RAREST, 0.11 / (1 + at * 0.35))
  })
  return of
}

/** Words of one fragment; more would fill the table of hashes. */
const MOST_WORDS = 400
/** What a word more costs, beside the text that it is: the places whose hash is by chance the same. */
const SHARE_OF_HASH = 1 / 65_536

/** The window of a shape that lets through least. Throws where the shape says too little. */
export function fragmentOf(given: Shape): Fragment {
  const shape = given.length < FRAGMENT_BYTES ? [...given, ANY] : given
  let best: Fragment | undefined
  let bestShare = Infinity
  for (let offset = 0; offset + FRAGMENT_BYTES <= shape.length; offset += 1) {
    const sets = shape.slice(offset, offset + FRAGMENT_BYTES)
    const words = wordsOf(sets)
    if (!words) continue
    const share = shareOfText(sets, words) + words.length * SHARE_OF_HASH
    if (share >= bestShare) continue
    bestShare = share
    best = { words, offset, before: shape[offset - 1] ?? ANY, after: shape[offset + FRAGMENT_BYTES] ?? ANY }
  }
  if (!best) throw new Error('A literal of fewer than three bytes cannot be looked for.')
  return best
}

/** Pieces of what programs are full of are far more frequent than their letters are. */
const FREQUENT_TIMES = 100

function shareOfText(sets: readonly ByteSet[], words: readonly number[]): number {
  return sets.reduce((all, set) => all * shareOfSet(set), words.some((word) => frequent.has(word)) ? FREQUENT_TIMES : 1)
}

/** Every word that four sets make, folded; nothing if they are too many. */
function wordsOf(sets: readonly ByteSet[]): number[] | undefined {
  const folded = sets.map(foldedBytes)
  if (folded.reduce((all, { length }) => all * length, 1) > MOST_WORDS) return undefined
  return folded.reduce<number[]>(
    (words, bytes, at) => words.flatMap((word) => bytes.map((byte) => (word | (byte << (8 * at))) >>> 0)),
    [0],
  )
}

const foldedBytes = remembered((set) => {
  const folded = new Set<number>()
  for (let byte = 0; byte < 256; byte += 1) if (set[byte] === 1) folded.add(byte | 0x20)
  return [...folded]
})

const shareOfSet = remembered((set) => {
  let share = 0
  for (let byte = 0; byte < 256; byte += 1) if (set[byte] === 1) share += frequencies[byte] ?? 0
  return share
})

/** Windows overlap, so each set is asked about several times. */
function remembered<T extends object | number>(compute: (set: ByteSet) => T): (set: ByteSet) => T {
  const known = new WeakMap<ByteSet, T>()
  return (set) => {
    const before = known.get(set)
    if (before !== undefined) return before
    const value = compute(set)
    known.set(set, value)
    return value
  }
}
