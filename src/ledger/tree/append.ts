import { EMPTY_ROOT, HASH_BYTES, fromDigest, nodeDigest, perfectDigest } from './hash.ts'
import type { Digest } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import { TILE_WIDTH, assertTile, frontierTiles, tilePath } from './tile.ts'
import type { Tile } from './tile.ts'

/**
 * The right edge of a tree: its size and the partial tile of each level. It is enough to append and to know the root, so a
 * sequencer loads `frontierTiles(size)`, appends, and writes the tiles it gets back, all in one transaction.
 */
export type Frontier = { readonly size: number; readonly partials: readonly Buffer[] }

export type Appended = {
  readonly frontier: Frontier
  readonly root: Buffer
  /** Every tile that is new or wider than before: the full ones and each level's last partial one. */
  readonly tiles: readonly Tile[]
}

export const EMPTY_FRONTIER: Frontier = { size: 0, partials: [] }

/** The frontier of a stored tree from the tiles `frontierTiles(size)` names, in any order; throws when one is missing. */
export function openFrontier(size: number, tiles: Iterable<Tile>): Frontier {
  const byPath = new Map(Array.from(tiles, (tile) => [tilePath(tile), assertTile(tile)]))
  const partials: Buffer[] = []
  for (const id of frontierTiles(size)) {
    const tile = byPath.get(tilePath(id))
    if (!tile) throw new InvalidProof(`The frontier needs ${tilePath(id)}.`)
    while (partials.length < id.level) partials.push(Buffer.alloc(0))
    partials.push(tile.hashes)
  }
  return { size, partials }
}

/** Appends leaf hashes (of 32 bytes each, in order). The frontier it is given stays as it was. */
export function appendLeaves(frontier: Frontier, leafHashes: readonly Uint8Array[]): Appended {
  if (leafHashes.some((hash) => hash.length !== HASH_BYTES)) throw new InvalidProof('A leaf hash has 32 bytes.')
  const size = frontier.size + leafHashes.length
  const partials = [...frontier.partials]
  const tiles: Tile[] = []
  let added = Buffer.concat(leafHashes)
  for (let level = 0; added.length > 0; level++) {
    const firstIndex = Math.floor(frontier.size / TILE_WIDTH ** (level + 1))
    const grown = growLevel(level, firstIndex, partials[level] ?? Buffer.alloc(0), added)
    tiles.push(...grown.tiles)
    partials[level] = grown.partial
    added = grown.roots
  }
  const after: Frontier = { size, partials }
  return { frontier: after, root: frontierRoot(after), tiles }
}

type Grown = { tiles: Tile[]; partial: Buffer; roots: Buffer<ArrayBuffer> }

function growLevel(level: number, firstIndex: number, partial: Buffer, added: Buffer): Grown {
  const row = Buffer.concat([partial, added])
  const tiles: Tile[] = []
  const roots: Buffer[] = []
  for (let start = 0; start < row.length; start += TILE_WIDTH * HASH_BYTES) {
    const hashes = row.subarray(start, start + TILE_WIDTH * HASH_BYTES)
    const width = hashes.length / HASH_BYTES
    tiles.push({ level, index: firstIndex + tiles.length, width, hashes })
    if (width === TILE_WIDTH) roots.push(fromDigest(perfectDigest(hashes, 0, TILE_WIDTH)))
  }
  const last = tiles.at(-1)
  // A copy, or the frontier would keep the whole row alive.
  const rest = last && last.width < TILE_WIDTH ? Buffer.from(last.hashes) : Buffer.alloc(0)
  return { tiles, partial: rest, roots: Buffer.concat(roots) }
}

/** RFC 6962 §2.1: the perfect subtrees of the right edge, folded from the smallest (rightmost) on. */
export function frontierRoot(frontier: Frontier): Buffer {
  let root: Digest | undefined
  for (const partial of frontier.partials) {
    let end = partial.length / HASH_BYTES
    for (let count = 1; end > 0; count *= 2) {
      if ((end & count) === 0) continue
      end -= count
      const left = perfectDigest(partial, end, count)
      root = root === undefined ? left : nodeDigest(left, root)
    }
  }
  return root === undefined ? EMPTY_ROOT : fromDigest(root)
}
