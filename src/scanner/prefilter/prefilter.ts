import { FOLD, fragmentOf, type Fragment } from './fragments.ts'
import { BLOCK_BYTES, type Hits } from './hits.ts'
import { plainScan } from './plain.ts'
import { openTeddy } from './teddy.ts'

/** One literal of many, with the place of its fragment. */
type Wanted = { readonly literal: number; readonly offset: number }

export type Prefilter = {
  readonly isSimd: boolean
  /**
   * Calls `onLiteral` for each place at which the literal of that number may begin, and `onRun` for places inside long runs of base64
   * characters. No occurrence is left out (letters in any case); whether the literal really stands there the caller looks at.
   */
  scan(bytes: Uint8Array, onLiteral: (literal: number, at: number) => void, onRun: (at: number) => void): void
}

/** Blocks overlap so that neither a fragment nor a run is cut in two unseen. */
const OVERLAP_BYTES = 128

/** A prefilter for these literals. Without SIMD, or when told so, the same work is done in JavaScript. */
export function openPrefilter(literals: readonly string[], { isPlain = false } = {}): Prefilter {
  const wanted = new Map<number, Wanted[]>()
  const fragments = new Map<string, Fragment>()
  literals.forEach((literal, at) => {
    const fragment = fragmentOf(literal)
    fragments.set(`${fragment.size}:${fragment.word}`, fragment)
    const key = fragment.word | 0
    wanted.set(key, [...(wanted.get(key) ?? []), { literal: at, offset: fragment.offset }])
  })
  const all = [...fragments.values()]
  const teddy = isPlain ? undefined : openTeddy(all)
  const scanBlock = teddy ?? plainScan(all)
  const hits: Hits = {
    positions: new Uint32Array(BLOCK_BYTES + 64),
    count: 0,
    runs: new Uint32Array(BLOCK_BYTES / 16 + 4),
    runCount: 0,
  }
  const hasShort = all.some(({ size }) => size === 3)
  return {
    isSimd: teddy !== undefined,
    scan: (bytes, onLiteral, onRun) => {
      let seenTo = -1
      for (let from = 0; from < bytes.length; from += BLOCK_BYTES - OVERLAP_BYTES) {
        scanBlock(bytes.subarray(from, from + BLOCK_BYTES), hits)
        for (let n = 0; n < hits.runCount; n += 1) onRun(from + (hits.runs[n] ?? 0))
        for (let n = 0; n < hits.count; n += 1) {
          const at = from + (hits.positions[n] ?? 0)
          if (at <= seenTo) continue
          seenTo = at
          const word = wordAt(bytes, at) | FOLD
          for (const one of wanted.get(word) ?? NONE) if (at >= one.offset) onLiteral(one.literal, at - one.offset)
          if (!hasShort) continue
          for (const one of wanted.get(word & 0xffffff) ?? NONE) {
            if (at >= one.offset) onLiteral(one.literal, at - one.offset)
          }
        }
        if (from + BLOCK_BYTES >= bytes.length) break
      }
    },
  }
}

const NONE: readonly Wanted[] = []

function wordAt(bytes: Uint8Array, at: number): number {
  const byte = (n: number) => bytes[at + n] ?? 0
  return byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)
}
