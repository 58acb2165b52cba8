import { FOLD, fragmentOf } from './fragments.ts'
import { BLOCK_BYTES } from './hits.ts'
import { plainScan } from './plain.ts'
import { fits, type Shape } from './shape.ts'
import { openSimd } from './simd.ts'

/** One shape of many, with the place of its fragment. */
type Wanted = { readonly number: number; readonly shape: Shape; readonly offset: number }

export type Prefilter = {
  readonly isSimd: boolean
  /**
   * Calls `onShape` for each place that the shape of that number fits, in order of their fragments, and `onRun` for places inside long runs of base64
   * characters. No place is left out.
   */
  scan(bytes: Uint8Array, onShape: (number: number, at: number) => void, onRun: (at: number) => void): void
}

/** Blocks overlap so that neither a fragment nor a run is cut in two unseen. */
const OVERLAP_BYTES = 128
/** A word and its neighbour. */
const EDGE_BYTES = 8

/** A prefilter for these shapes. Without SIMD, or when told so, the same work is done in JavaScript. */
export function openPrefilter(shapes: readonly Shape[], { isPlain = false } = {}): Prefilter {
  const fragments = shapes.map(fragmentOf)
  const wanted = new Map<number, Wanted[]>()
  fragments.forEach(({ words, offset }, number) => {
    const one = { number, offset, shape: shapes[number] ?? [] }
    for (const word of words) {
      const same = wanted.get(word | 0)
      if (same) same.push(one)
      else wanted.set(word | 0, [one])
    }
  })
  const simd = isPlain ? undefined : openSimd(fragments)
  const scanBlock = simd ?? plainScan(fragments)
  return {
    isSimd: simd !== undefined,
    scan: (bytes, onShape, onRun) => {
      let seenTo = -1
      for (let from = 0; from < bytes.length; from += BLOCK_BYTES - OVERLAP_BYTES) {
        const isLast = from + BLOCK_BYTES >= bytes.length
        const { positions, count, runs, runCount } = scanBlock(bytes, from, isLast ? bytes.length : from + BLOCK_BYTES)
        for (let n = 0; n < runCount; n += 1) onRun(from + (runs[n] ?? 0))
        for (let n = 0; n < count; n += 1) {
          const at = from + (positions[n] ?? 0)
          // What stands behind a block's last bytes the next block sees.
          if (at <= seenTo || (!isLast && at >= from + BLOCK_BYTES - EDGE_BYTES)) continue
          seenTo = at
          const here = wanted.get(wordAt(bytes, at) | FOLD)
          if (!here) continue
          for (const { number, shape, offset } of here) {
            if (at >= offset && fits(shape, bytes, at - offset)) onShape(number, at - offset)
          }
        }
        if (isLast) break
      }
    },
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}
