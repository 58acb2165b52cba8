/**
 * From the literals that rules begin with to what the prefilter looks for: three or four bytes of each, the rarest ones, in sixteen buckets of
 * fragments that are alike. Letters are folded (a bit is set), so a fragment may be seen where its literal is not; never the other way round.
 */
export const FOLD = 0x20202020
/** Two vectors of eight: with some hundred fragments, eight buckets would let a fifth of all places through. */
const BUCKETS = 16

/** Where in its literal a fragment lies. `word` is its bytes, folded, lowest byte first; of three bytes the fourth is zero. */
export type Fragment = { readonly word: number; readonly size: 3 | 4; readonly offset: number }

/** How often bytes are seen in source text, folded, most frequent first; good for choosing, nothing depends on it. */
const BY_FREQUENCY = ' etaoinsrlcdpumfhg\n.,()"\'=:/-_;byvkw0x1{}2z3j4q5678#9<>*[]@!$&+?\\|%`~^'
const RAREST = 0.0002

const frequencies: Float64Array = frequencyOfBytes()

function frequencyOfBytes(): Float64Array {
  const of = new Float64Array(256).fill(RAREST)
  Array.from(BY_FREQUENCY).forEach((character, at) => {
    const share = Math.max(RAREST, 0.11 / (1 + at * 0.35))
    for (const byte of [character.charCodeAt(0), character.toUpperCase().charCodeAt(0)]) of[byte] = share
  })
  return of
}

/** The rarest window of a literal (ASCII, at least three bytes). */
export function fragmentOf(literal: string): Fragment {
  const bytes = Buffer.from(literal, 'latin1')
  if (bytes.length < 3) throw new Error(`A literal of ${bytes.length} bytes cannot be looked for.`)
  const size = bytes.length === 3 ? 3 : 4
  let best = 0
  let bestShare = Infinity
  for (let offset = 0; offset + size <= bytes.length; offset += 1) {
    const window = bytes.subarray(offset, offset + size)
    // Addresses make `://` far more frequent than its bytes are.
    const isOfAddress = window.includes(':/')
    const share = window.reduce((all, byte) => all * (frequencies[byte | 0x20] ?? 1), isOfAddress ? 1000 : 1)
    if (share < bestShare) [best, bestShare] = [offset, share]
  }
  const word = bytes.subarray(best, best + size).reduce((all, byte, at) => all | ((byte | 0x20) << (8 * at)), 0)
  return { word: word >>> 0, size, offset: best }
}

/** The bytes at one place of a fragment that fold to what stands there; all of them past its end. */
function bytesAt({ word, size }: Fragment, at: number): readonly number[] {
  if (at >= size) return ALL_BYTES
  const folded = (word >>> (8 * at)) & 0xff
  return [folded & ~0x20, folded]
}

const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => byte)

/** Two tables for each of the four places: which buckets a low and a high half of a byte belong to. */
export function nibbleTables(buckets: readonly (readonly Fragment[])[]): Uint8Array {
  const tables = new Uint8Array(4 * 32)
  buckets.forEach((fragments, bucket) => {
    for (const fragment of fragments) {
      for (let at = 0; at < 4; at += 1) {
        for (const byte of bytesAt(fragment, at)) {
          const [low, high] = [at * 32 + (byte & 15), at * 32 + 16 + (byte >> 4)]
          tables[low] = (tables[low] ?? 0) | (1 << bucket)
          tables[high] = (tables[high] ?? 0) | (1 << bucket)
        }
      }
    }
  })
  return tables
}

/** Halves of bytes that a bucket admits at each place, and from them the share of text it lets through. */
type Shape = { readonly low: number[]; readonly high: number[] }

const shapeWith = (shape: Shape, fragment: Fragment): Shape => {
  const [low, high] = [[...shape.low], [...shape.high]]
  for (let at = 0; at < 4; at += 1) {
    for (const byte of bytesAt(fragment, at)) {
      low[at] = (low[at] ?? 0) | (1 << (byte & 15))
      high[at] = (high[at] ?? 0) | (1 << (byte >> 4))
    }
  }
  return { low, high }
}

const shareOf = ({ low, high }: Shape): number => {
  let share = 1
  for (let at = 0; at < 4; at += 1) {
    let here = 0
    for (let byte = 0; byte < 128; byte += 1) {
      const isIn = ((low[at] ?? 0) >> (byte & 15)) & ((high[at] ?? 0) >> (byte >> 4)) & 1
      if (isIn === 1) here += frequencies[byte] ?? 0
    }
    share *= here
  }
  return share
}

/** Rounds in which each fragment may move to where it widens least; more change little. */
const ROUNDS = 2

/** Buckets that together let through as little text as can be found quickly: each fragment goes where it widens least, and may move. */
export function bucketsOf(fragments: readonly Fragment[]): Fragment[][] {
  const buckets: Fragment[][] = Array.from({ length: BUCKETS }, () => [])
  const shapes = buckets.map(() => NOTHING)
  const shares = buckets.map(() => 0)
  const home = new Map<Fragment, number>()
  const ordered = [...fragments].sort((a, b) => a.size - b.size || a.word - b.word)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const fragment of ordered) {
      const from = home.get(fragment)
      if (from !== undefined) {
        buckets[from] = (buckets[from] ?? []).filter((other) => other !== fragment)
        shapes[from] = (buckets[from] ?? []).reduce(shapeWith, NOTHING)
        shares[from] = shareOf(shapes[from])
      }
      const widened = shapes.map((shape) => shapeWith(shape, fragment))
      const costs = widened.map((shape, at) => shareOf(shape) - (shares[at] ?? 0))
      const best = costs.indexOf(Math.min(...costs))
      home.set(fragment, best)
      buckets[best]?.push(fragment)
      shapes[best] = widened[best] ?? NOTHING
      shares[best] = (shares[best] ?? 0) + (costs[best] ?? 0)
    }
  }
  return buckets
}

const NOTHING: Shape = { low: [0, 0, 0, 0], high: [0, 0, 0, 0] }
