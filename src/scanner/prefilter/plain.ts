import { FOLD, type Fragment } from './fragments.ts'
import { hashTable, IS_BASE64, isInTable } from './hash.ts'
import type { ScanBlock } from './hits.ts'

/** The prefilter without SIMD: a table over pairs of bytes instead of nibbles, then the same hash. */
export function plainScan(fragments: readonly Fragment[]): ScanBlock {
  const pairs = new Uint8Array(65_536)
  for (const { word } of fragments) pairs[word & 0xffff] = 1
  const [four, three] = [hashTable(fragments, 4), hashTable(fragments, 3)]
  return (block, hits) => {
    hits.count = 0
    hits.runCount = 0
    const { length } = block
    for (let at = 0; at + 3 <= length; at += 1) {
      const pair = (block[at] ?? 0) | ((block[at + 1] ?? 0) << 8) | 0x2020
      if (pairs[pair] === 0) continue
      const high = ((block[at + 2] ?? 0) << 16) | ((block[at + 3] ?? 0) << 24)
      const word = (pair | high | FOLD) >>> 0
      if (!isInTable(four, word) && !isInTable(three, word & 0xffffff)) continue
      hits.positions[hits.count] = at
      hits.count += 1
    }
    let wasAll = false
    for (let at = 0; at + 16 <= length; at += 16) {
      let to = at
      while (to < at + 16 && IS_BASE64[block[to] ?? 0] === 1) to += 1
      const isAll = to === at + 16
      if (isAll && wasAll) {
        hits.runs[hits.runCount] = at
        hits.runCount += 1
      }
      wasAll = isAll
    }
  }
}
