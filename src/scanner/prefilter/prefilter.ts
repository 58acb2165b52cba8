import { fragmentsOf } from './fragments.ts'
import { BLOCK_BYTES } from './hits.ts'
import { plainScan } from './plain.ts'
import { fits, type Shape } from './shape.ts'
import { openSimd } from './simd.ts'
import { toldByBits } from './tables.ts'

export type Prefilter = {
  readonly isSimd: boolean
  /**
   * Calls `onShape` for each place that the shape of that number fits, in order of what was seen of them first, and `onRun` for places inside long runs of
   * base64 characters. No place is left out.
   */
  scan(bytes: Uint8Array, onShape: (number: number, at: number) => void, onRun: (at: number) => void): void
}

/** Blocks overlap so that neither a shape nor a run is cut in two unseen. */
const OVERLAP_BYTES = 128
/** What stands nearer to a seam than this the one block tells, and not the other. */
const MARGIN_BYTES = OVERLAP_BYTES / 2

/** A prefilter for these shapes. Without SIMD, or when told so, the same work is done in JavaScript. */
export function openPrefilter(shapes: readonly Shape[], { isPlain = false } = {}): Prefilter {
  const fragments = shapes.flatMap(fragmentsOf)
  const toldSizes = shapes.map(toldByBits)
  const simd = isPlain ? undefined : openSimd(fragments)
  const scanBlock = simd ?? plainScan(fragments)
  return {
    isSimd: simd !== undefined,
    scan: (bytes, onShape, onRun) => {
      for (let from = 0; from < bytes.length; from += BLOCK_BYTES - OVERLAP_BYTES) {
        const isLast = from + BLOCK_BYTES >= bytes.length
        const { found, count, runs, runCount } = scanBlock(bytes, from, isLast ? bytes.length : from + BLOCK_BYTES)
        for (let n = 0; n < runCount; n += 1) onRun(from + (runs[n] ?? 0))
        const first = from === 0 ? 0 : from + MARGIN_BYTES
        const last = isLast ? bytes.length : from + BLOCK_BYTES - MARGIN_BYTES
        for (let n = 0; n < 2 * count; n += 2) {
          const at = from + (found[n] ?? 0)
          const number = found[n + 1] ?? 0
          // The block before told it, or the next one will.
          if (at < first || at >= last) continue
          const size = toldSizes[number]
          const doesFit = size === undefined ? fits(shapes[number] ?? [], bytes, at) : at + size <= bytes.length
          if (doesFit) onShape(number, at)
        }
        if (isLast) break
      }
    },
  }
}
