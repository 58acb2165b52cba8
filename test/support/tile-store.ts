import { appendLeaves, EMPTY_FRONTIER } from '../../src/ledger/tree/append.ts'
import { leafHash } from '../../src/ledger/tree/hash.ts'
import { tilePath } from '../../src/ledger/tree/tile.ts'
import type { Tile } from '../../src/ledger/tree/tile.ts'
import type { TileReader } from '../../src/ledger/tree/proof.ts'

/** A tree built by one append of all entries, its tiles in a map by path, and a reader that gives each at the width asked for. */
export function storeTree(entries: readonly Uint8Array[]): {
  root: Buffer
  tiles: Map<string, Tile>
  read: TileReader
} {
  const { root, tiles } = appendLeaves(EMPTY_FRONTIER, entries.map(leafHash))
  const byPath = new Map(tiles.map((tile) => [tilePath(tile), tile]))
  return {
    root,
    tiles: byPath,
    read: async (level, index, width) => {
      const tile = byPath.get(tilePath({ level, index, width }))
      if (!tile) throw new Error(`No tile ${tilePath({ level, index, width })}`)
      return tile.hashes
    },
  }
}

/** `count` entries that differ. */
export function someEntries(count: number, prefix = 'entry'): Buffer[] {
  return Array.from({ length: count }, (_, at) => Buffer.from(`${prefix} ${at}`))
}
