import { folded, FOLD, STRIDE, type Fragment } from './fragments.ts'
import { hashOf, HASHES, IS_BASE64, multiplierFor, slotsOf } from './hash.ts'
import { BLOCK_BYTES, type Hits, type ScanBlock } from './hits.ts'
import { fits } from './shape.ts'

/** The prefilter without SIMD: the same words and hashes, behind a table over pairs of bytes. */
export function plainScan(fragments: readonly Fragment[]): ScanBlock {
  const multiplier = multiplierFor(fragments)
  const slots = slotsOf(fragments, multiplier)
  const isKnown = new Uint8Array(HASHES)
  for (const hash of slots.keys()) isKnown[hash] = 1
  const pairs = new Uint8Array(65_536)
  for (const { words } of fragments) for (const word of words) pairs[word & 0xffff] = 1
  const hits: Hits = {
    found: new Int32Array(2 * BLOCK_BYTES),
    count: 0,
    runs: new Int32Array(BLOCK_BYTES / 16),
    runCount: 0,
  }
  return (bytes, from, to) => {
    hits.count = 0
    hits.runCount = 0
    for (let at = from; at < to; at += STRIDE) {
      const pair = ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)) & FOLD & 0xffff
      if (pairs[pair] === 0) continue
      const hash = hashOf(folded(pair | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)), multiplier)
      if (isKnown[hash] === 0) continue
      for (const { number, shape, offset } of slots.get(hash) ?? []) {
        if (at < offset || !fits(shape, bytes, at - offset)) continue
        if (2 * hits.count + 2 > hits.found.length) hits.found = grown(hits.found)
        hits.found[2 * hits.count] = at - offset - from
        hits.found[2 * hits.count + 1] = number
        hits.count += 1
      }
    }
    findRuns(bytes, from, to, hits)
    return hits
  }
}

/** As many shapes as stand there: no place is left out. */
function grown(found: Int32Array): Int32Array {
  const larger = new Int32Array(2 * found.length)
  larger.set(found)
  return larger
}

function findRuns(bytes: Uint8Array, from: number, end: number, hits: Hits): void {
  let wasAll = false
  for (let at = from; at + 16 <= end; at += 16) {
    let to = at
    while (to < at + 16 && IS_BASE64[bytes[to] ?? 0] === 1) to += 1
    const isAll = to === at + 16
    if (isAll && wasAll) {
      hits.runs[hits.runCount] = at - from
      hits.runCount += 1
    }
    wasAll = isAll
  }
}
