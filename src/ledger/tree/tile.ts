import { ENTRY_MAX_BYTES, HASH_BYTES } from './hash.ts'
import { InvalidProof } from './invalid.ts'

/** C2SP tlog-tiles: a tile is 8 levels of the tree, so a full one is a row of 256 hashes. */
export const TILE_WIDTH = 256

/** Which tile: `level` 0 holds leaf hashes, each level above the roots of 256 below; `width` under 256 is a partial tile. */
export type TileId = { readonly level: number; readonly index: number; readonly width: number }

export type Tile = TileId & { readonly hashes: Buffer }

/** How many hashes a level holds in a tree of `size` leaves. */
function hashesAtLevel(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** The width a tile has in a tree of `size` leaves; 0 when it is not there yet. */
export function tileWidth(size: number, level: number, index: number): number {
  return Math.max(0, Math.min(TILE_WIDTH, hashesAtLevel(size, level) - index * TILE_WIDTH))
}

/** The tiles a tree of `newSize` has and a tree of `oldSize` had not, or had narrower: all of them when `oldSize` is 0. */
export function tilesBetween(oldSize: number, newSize: number): TileId[] {
  const tiles: TileId[] = []
  for (let level = 0; hashesAtLevel(newSize, level) > 0; level++) {
    const before = hashesAtLevel(oldSize, level)
    const after = hashesAtLevel(newSize, level)
    if (before === after) continue
    for (let index = Math.floor(before / TILE_WIDTH); tileWidth(newSize, level, index) > 0; index++) {
      tiles.push({ level, index, width: tileWidth(newSize, level, index) })
    }
  }
  return tiles
}

/** The partial tile of each level that has one: all that is needed to append to a tree of `size`, and its root. */
export function frontierTiles(size: number): TileId[] {
  const tiles: TileId[] = []
  for (let level = 0; hashesAtLevel(size, level) > 0; level++) {
    const count = hashesAtLevel(size, level)
    if (count % TILE_WIDTH > 0) {
      tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width: count % TILE_WIDTH })
    }
  }
  return tiles
}

/** `tile/0/x001/x234/067.p/8`: where C2SP tlog-tiles serves a tile of hashes. */
export function tilePath(tile: TileId): string {
  return `tile/${tile.level}/${indexPath(tile)}`
}

/** The same for the bundle of entries under a level-0 tile. */
export function bundlePath(bundle: Omit<TileId, 'level'>): string {
  return `tile/entries/${indexPath(bundle)}`
}

export type TilePath =
  | ({ readonly kind: 'hashes' } & TileId)
  | { readonly kind: 'entries'; index: number; width: number }

/** The inverse of both; undefined for any path those two would not have written. */
export function parseTilePath(path: string): TilePath | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path)
  if (!match) return undefined
  const index = Number((match[2] ?? '').replaceAll(/[x/]/g, ''))
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3])
  if (!Number.isSafeInteger(index) || width < 1 || (match[3] !== undefined && width >= TILE_WIDTH)) return undefined
  if (match[1] === 'entries')
    return bundlePath({ index, width }) === path ? { kind: 'entries', index, width } : undefined
  const level = Number(match[1])
  if (level > 63 || tilePath({ level, index, width }) !== path) return undefined
  return { kind: 'hashes', level, index, width }
}

// Groups of three digits, all but the last led by x, so that no folder holds more than a thousand files.
function indexPath({ index, width }: { index: number; width: number }): string {
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = padded.match(/\d{3}/g) ?? []
  const full = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/')
  return width < TILE_WIDTH ? `${full}.p/${width}` : full
}

/** C2SP tlog-tiles: each entry after its length as a big-endian uint16. */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  if (entries.length > TILE_WIDTH) throw new InvalidProof(`A bundle holds at most ${TILE_WIDTH} entries.`)
  return Buffer.concat(
    entries.flatMap((entry) => {
      if (entry.length > ENTRY_MAX_BYTES) throw new InvalidProof(`An entry has at most ${ENTRY_MAX_BYTES} bytes.`)
      return [Buffer.from([entry.length >> 8, entry.length & 0xff]), entry]
    }),
  )
}

/** Exactly `width` entries; throws when the bytes end early or go on. */
export function decodeBundle(bytes: Buffer, width: number): Buffer[] {
  const entries: Buffer[] = []
  let at = 0
  while (entries.length < width) {
    if (at + 2 > bytes.length) throw new InvalidProof('The bundle ends early.')
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) throw new InvalidProof('The bundle ends inside an entry.')
    entries.push(bytes.subarray(at + 2, end))
    at = end
  }
  if (at !== bytes.length) throw new InvalidProof('The bundle holds more than its entries.')
  return entries
}

/** Throws unless the bytes are as many hashes as the tile is wide. */
export function assertTile(tile: Tile): Tile {
  if (tile.hashes.length !== tile.width * HASH_BYTES) throw new InvalidProof(`${tilePath(tile)} has a wrong length.`)
  return tile
}
