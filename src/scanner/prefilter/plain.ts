import { FOLD, type Fragment } from './fragments.ts'
import { hashOf, hashTables, IS_BASE64, multiplierFor } from './hash.ts'
import { BLOCK_BYTES, type Hits, type ScanBlock } from './hits.ts'

/** The prefilter without SIMD: the same hashes, behind a table over pairs of bytes. */
export function plainScan(fragments: readonly Fragment[]): ScanBlock {
  const multiplier = multiplierFor(fragments)
  const pairs = new Uint8Array(65_536)
  for (const { words } of fragments) for (const word of words) pairs[word & 0xffff] = 1
  const { after, before } = hashTables(fragments, multiplier)
  const hits: Hits = {
    positions: new Uint32Array(BLOCK_BYTES),
    count: 0,
    runs: new Uint32Array(BLOCK_BYTES / 16),
    runCount: 0,
  }
  return (bytes, from, to) => {
    hits.count = 0
    hits.runCount = 0
    for (let at = from; at < to; at += 1) {
      const pair = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | 0x2020
      if (pairs[pair] === 0) continue
      const hash = hashOf(pair | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24) | FOLD, multiplier)
      const isAfter = (after[hash] ?? 0) >> ((bytes[at + 4] ?? 0) & 7)
      if ((isAfter & ((before[hash] ?? 0) >> ((bytes[at - 1] ?? 0) & 7)) & 1) === 0) continue
      hits.positions[hits.count] = at - from
      hits.count += 1
    }
    findRuns(bytes, from, to, hits)
    return hits
  }
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
