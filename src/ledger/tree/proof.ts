import { EMPTY_ROOT, HASH_BYTES, fromDigest, nodeDigest, perfectDigest, toDigest } from './hash.ts'
import type { Digest } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import { TILE_WIDTH, tileWidth } from './tile.ts'

/**
 * Gives a stored tile's hashes: at least `width` of them. A store that keeps only the widest version of a tile may
 * answer with that.
 */
export type TileReader = (level: number, index: number, width: number) => Promise<Buffer>

/** The root of the tree's first `size` leaves. */
export async function rootFromTiles(read: TileReader, size: number): Promise<Buffer> {
  if (!isCount(size)) throw new InvalidProof('A tree size is a whole number.')
  if (size === 0) return EMPTY_ROOT
  return rangeHash(cached(read), { start: 0, end: size }, size)
}

/** RFC 6962 §2.1.1: the audit path of leaf `index` in the tree of `size`, from the leaf's sibling up. */
export async function proveInclusion(read: TileReader, index: number, size: number): Promise<Buffer[]> {
  if (!isCount(index) || !isCount(size) || index >= size) throw new InvalidProof('There is no such leaf in this tree.')
  const path: Range[] = []
  for (let start = 0, end = size; end - start > 1;) {
    const middle = start + largestPowerBelow(end - start)
    if (index < middle) {
      path.push({ start: middle, end })
      end = middle
    } else {
      path.push({ start, end: middle })
      start = middle
    }
  }
  return hashRanges(read, path.toReversed(), size)
}

/** RFC 6962 §2.1.2: proves that the tree of `oldSize` is a beginning of the tree of `size`; empty for 0 and for equal sizes. */
export async function proveConsistency(read: TileReader, oldSize: number, size: number): Promise<Buffer[]> {
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) throw new InvalidProof('The old tree is the larger one.')
  if (oldSize === 0 || oldSize === size) return []
  const path: Range[] = []
  let start = 0
  let end = size
  // SUBPROOF(m, D[n], b): `start === 0` is b, the old tree's own root, which the verifier has already.
  while (end !== oldSize) {
    const middle = start + largestPowerBelow(end - start)
    if (oldSize <= middle) {
      path.push({ start: middle, end })
      end = middle
    } else {
      path.push({ start, end: middle })
      start = middle
    }
  }
  if (start > 0) path.push({ start, end })
  return hashRanges(read, path.toReversed(), size)
}

/** RFC 9162 §2.1.3.2: whether the path leads from this leaf, at this index, to this root. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  tree: { size: number; root: Uint8Array },
  path: readonly Uint8Array[],
): boolean {
  if (!isCount(index) || !isCount(tree.size) || index >= tree.size) return false
  if (![leaf, tree.root, ...path].every(isHash)) return false
  let at = index
  let last = tree.size - 1
  let digest = toDigest(leaf, 0)
  for (const sibling of path) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      digest = nodeDigest(toDigest(sibling, 0), digest)
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)]
    } else {
      digest = nodeDigest(digest, toDigest(sibling, 0))
    }
    at = half(at)
    last = half(last)
  }
  return last === 0 && digest === toDigest(tree.root, 0)
}

type TreeHead = { readonly size: number; readonly root: Uint8Array }

/** RFC 9162 §2.1.4.2: whether the proof shows that `older` is a beginning of `newer`. */
export function verifyConsistency(older: TreeHead, newer: TreeHead, proof: readonly Uint8Array[]): boolean {
  if (!isCount(older.size) || !isCount(newer.size) || older.size > newer.size) return false
  if (![older.root, newer.root, ...proof].every(isHash)) return false
  const oldRoot = toDigest(older.root, 0)
  const newRoot = toDigest(newer.root, 0)
  if (older.size === newer.size) return proof.length === 0 && oldRoot === newRoot
  if (older.size === 0) return proof.length === 0 && oldRoot === toDigest(EMPTY_ROOT, 0)
  const hashes = proof.map((hash) => toDigest(hash, 0))
  let at = older.size - 1
  let last = newer.size - 1
  while (at % 2 === 1) [at, last] = [half(at), half(last)]
  // An old tree that is a perfect subtree is its own first hash and is left out of the proof.
  const seed = at === 0 ? oldRoot : hashes.shift()
  if (seed === undefined) return false
  let oldDigest: Digest = seed
  let newDigest: Digest = seed
  for (const hash of hashes) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      oldDigest = nodeDigest(hash, oldDigest)
      newDigest = nodeDigest(hash, newDigest)
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)]
    } else {
      newDigest = nodeDigest(newDigest, hash)
    }
    at = half(at)
    last = half(last)
  }
  return last === 0 && oldDigest === oldRoot && newDigest === newRoot
}

type Range = { readonly start: number; readonly end: number }

async function hashRanges(read: TileReader, ranges: readonly Range[], size: number): Promise<Buffer[]> {
  const readOnce = cached(read)
  return Promise.all(ranges.map((range) => rangeHash(readOnce, range, size)))
}

// A range that a proof names starts where a subtree starts, so it is perfect subtrees of falling size, folded from the right.
async function rangeHash(read: TileReader, range: Range, size: number): Promise<Buffer> {
  const subtrees: Promise<Digest>[] = []
  for (let at = range.start; at < range.end;) {
    const count = largestPowerUpTo(range.end - at)
    subtrees.push(subtreeDigest(read, at, count, size))
    at += count
  }
  const digests = await Promise.all(subtrees)
  return fromDigest(digests.reduceRight((right, left) => nodeDigest(left, right)))
}

// The deepest level whose hashes the subtree covers whole holds it inside one tile.
async function subtreeDigest(read: TileReader, start: number, count: number, size: number): Promise<Digest> {
  let level = 0
  let unit = 1
  for (; unit * TILE_WIDTH <= count; unit *= TILE_WIDTH) level++
  const first = start / unit
  const index = Math.floor(first / TILE_WIDTH)
  const width = tileWidth(size, level, index)
  const hashes = await read(level, index, width)
  if (hashes.length < width * HASH_BYTES) throw new InvalidProof(`Tile ${level}/${index} is too short for this tree.`)
  return perfectDigest(hashes, first % TILE_WIDTH, count / unit)
}

function cached(read: TileReader): TileReader {
  const tiles = new Map<string, Promise<Buffer>>()
  return (level, index, width) => {
    const key = `${level}/${index}`
    const tile = tiles.get(key) ?? read(level, index, width)
    tiles.set(key, tile)
    return tile
  }
}

// Bit operators would cut at 32 bits.
function half(n: number): number {
  return Math.floor(n / 2)
}

function largestPowerUpTo(n: number): number {
  let power = 1
  while (power * 2 <= n) power *= 2
  return power
}

function largestPowerBelow(n: number): number {
  return largestPowerUpTo(n - 1)
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}
