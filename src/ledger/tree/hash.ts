import { sha256, sha256Latin1 } from '../../kernel/crypto.ts'
import { InvalidProof } from './invalid.ts'

export const HASH_BYTES = 32

/** C2SP tlog-tiles: an entry's length is a uint16 in its bundle. */
export const ENTRY_MAX_BYTES = 65_535

/** A hash as 32 latin1 characters: cheap to hold, compare and feed to the next hash. Only used inside this folder. */
export type Digest = string

/** RFC 6962 §2.1: the root of a tree without leaves is the hash of nothing. */
export const EMPTY_ROOT: Buffer = sha256('')

// RFC 6962 §2.1: 0x00 before a leaf and 0x01 before a node, so that neither can be passed off as the other.
const leafInput = Buffer.alloc(1 + ENTRY_MAX_BYTES)
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

/** The hash of an entry's exact bytes; throws when they are more than a bundle can carry, or no bytes. */
export function leafHash(entry: Uint8Array): Buffer {
  // A text would be taken for a row of numbers, and its hash signed.
  if (!(entry instanceof Uint8Array)) throw new TypeError('An entry is bytes.')
  if (entry.length > ENTRY_MAX_BYTES) throw new InvalidProof(`An entry has at most ${ENTRY_MAX_BYTES} bytes.`)
  leafInput.set(entry, 1)
  return fromDigest(sha256Latin1(leafInput.subarray(0, 1 + entry.length)))
}

/** The hash of a node over its two children. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return fromDigest(nodeDigest(toDigest(left, 0), toDigest(right, 0)))
}

export function nodeDigest(left: Digest, right: Digest): Digest {
  nodeInput.write(left, 1, HASH_BYTES, 'latin1')
  nodeInput.write(right, 1 + HASH_BYTES, HASH_BYTES, 'latin1')
  return sha256Latin1(nodeInput)
}

/** The `position`-th hash of a row of hashes. */
export function toDigest(hashes: Uint8Array, position: number): Digest {
  const start = position * HASH_BYTES
  if (hashes.length < start + HASH_BYTES) throw new InvalidProof(`A hash has ${HASH_BYTES} bytes.`)
  return Buffer.from(hashes.buffer, hashes.byteOffset + start, HASH_BYTES).toString('latin1')
}

export function fromDigest(digest: Digest): Buffer {
  return Buffer.from(digest, 'latin1')
}

/** The root of a perfect subtree: `count`, a power of two, hashes of a row from `start` on. */
export function perfectDigest(hashes: Uint8Array, start: number, count: number): Digest {
  let row: Digest[] = Array.from({ length: count }, (_, at) => toDigest(hashes, start + at))
  while (row.length > 1) {
    const above: Digest[] = []
    for (let at = 0; at + 1 < row.length; at += 2) above.push(nodeDigest(row[at] ?? '', row[at + 1] ?? ''))
    row = above
  }
  return row[0] ?? ''
}
