/**
 * From the shapes of rules to what the prefilter looks for. It looks at every second place only, so that of each shape two windows of four places are taken,
 * one for each way it may lie: of all windows those that text fits least often. A fragment may be seen where its shape does not fit; never the other way round.
 */
import { frequent } from './frequent.ts'
import type { ByteSet } from './pattern.ts'
import { ANY, type Shape } from './shape.ts'

/** Places from one word that is looked at to the next. */
export const STRIDE = 2

/**
 * What counts of a word: letters without their case, and of the last byte only which of four kinds it is (punctuation, digit, letter up to O, from P on), so that
 * the many formats that go on with any letters and digits do so in three words and not in thirty-six.
 */
export const FOLD = 0x50dfdfdf
const FOLDS: readonly number[] = [0, 8, 16, 24].map((shift) => (FOLD >>> shift) & 0xff)
const FRAGMENT_BYTES = FOLDS.length

export const folded = (word: number): number => word & FOLD

/** Four places of a shape, and every word (folded, lowest byte first) that they can be. */
export type Fragment = {
  /** Which shape it is of. */
  readonly number: number
  readonly shape: Shape
  readonly words: readonly number[]
  /** Where in its shape it lies. */
  readonly offset: number
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

/** How often a byte is seen that is one of these under each fold. */
const shares: readonly Float64Array[] = FOLDS.map((fold) => {
  const of = new Float64Array(256)
  frequencies.forEach((frequency, byte) => (of[byte & fold] = (of[byte & fold] ?? 0) + frequency))
  return of
})

/** Pieces of what programs are full of are far more frequent than their letters are: so often the one is seen that has this place among them. */
const shareOfPiece = (at: number): number => 0.05 / (at + 12)
const frequentShares = new Map<number, number>()
for (const [word, at] of frequent) {
  frequentShares.set(folded(word), (frequentShares.get(folded(word)) ?? 0) + shareOfPiece(at))
}

/** Words of one fragment; more would fill the table of hashes. */
const MOST_WORDS = 3000
/** What a word more costs, beside the text that it is: the places whose hash is by chance the same. */
const SHARE_OF_HASH = 0.5 / 65_536
/** No window lies farther behind the first place. */
const MOST_OFFSET = 32

/** The windows of a shape that let through least, one for each remainder by the stride. Throws where the shape says too little. */
export function fragmentsOf(shape: Shape, number: number): Fragment[] {
  return Array.from({ length: STRIDE }, (_, remainder) => {
    let best: Fragment | undefined
    let bestShare = Infinity
    const last = Math.min(MOST_OFFSET, Math.max(shape.length, FRAGMENT_BYTES) - 1)
    for (let offset = remainder; offset <= last; offset += STRIDE) {
      const sets = FOLDS.map((fold, at) => foldedBytes(shape[offset + at] ?? ANY, fold))
      if (sets.reduce((all, { length }) => all * length, 1) > MOST_WORDS) continue
      const alone = shareOfSets(sets)
      if (alone >= bestShare) continue
      const words = wordsOf(sets)
      const share = words.reduce((all, word) => all + (frequentShares.get(word) ?? 0), alone)
      if (share >= bestShare) continue
      bestShare = share
      best = { number, shape, words, offset }
    }
    if (!best) throw new Error('A literal of fewer than three bytes cannot be looked for.')
    return best
  })
}

/** Of how many places four such bytes are seen, or any that have one of their hashes. */
function shareOfSets(sets: readonly (readonly number[])[]): number {
  const count = sets.reduce((all, { length }) => all * length, 1)
  return (
    sets.reduce((all, set, at) => all * set.reduce((sum, byte) => sum + (shares[at]?.[byte] ?? 0), 0), 1) +
    count * SHARE_OF_HASH
  )
}

/** Every word that four sets make. */
function wordsOf(sets: readonly (readonly number[])[]): number[] {
  return sets.reduce<number[]>(
    (words, bytes, at) => words.flatMap((word) => bytes.map((byte) => word | (byte << (8 * at)))),
    [0],
  )
}

/** Windows overlap, so each set is asked about several times. */
const knownFolds = new WeakMap<ByteSet, Map<number, readonly number[]>>()

function foldedBytes(set: ByteSet, fold: number): readonly number[] {
  const before = knownFolds.get(set)?.get(fold)
  if (before) return before
  const found = new Set<number>()
  for (let byte = 0; byte < 256; byte += 1) if (set[byte] === 1) found.add(byte & fold)
  const bytes = [...found]
  knownFolds.set(set, (knownFolds.get(set) ?? new Map<number, readonly number[]>()).set(fold, bytes))
  return bytes
}
