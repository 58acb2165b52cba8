import { createHash } from 'node:crypto'

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** RFC 6962 §2.1 word for word, as slow as it reads: what the tiles and the fast paths are compared with. */
export function naiveRoot(entries: readonly Uint8Array[]): Buffer {
  const [first] = entries
  if (first === undefined) return sha256()
  if (entries.length === 1) return sha256(Buffer.from([0]), first)
  const middle = split(entries.length)
  return sha256(Buffer.from([1]), naiveRoot(entries.slice(0, middle)), naiveRoot(entries.slice(middle)))
}

/** RFC 6962 §2.1.1 PATH. */
export function naivePath(index: number, entries: readonly Uint8Array[]): Buffer[] {
  if (entries.length <= 1) return []
  const middle = split(entries.length)
  const left = entries.slice(0, middle)
  const right = entries.slice(middle)
  return index < middle
    ? [...naivePath(index, left), naiveRoot(right)]
    : [...naivePath(index - middle, right), naiveRoot(left)]
}

/** RFC 6962 §2.1.2 SUBPROOF. */
export function naiveConsistency(oldSize: number, entries: readonly Uint8Array[], isOldRoot = true): Buffer[] {
  if (oldSize === entries.length) return isOldRoot ? [] : [naiveRoot(entries)]
  const middle = split(entries.length)
  const left = entries.slice(0, middle)
  const right = entries.slice(middle)
  return oldSize <= middle
    ? [...naiveConsistency(oldSize, left, isOldRoot), naiveRoot(right)]
    : [...naiveConsistency(oldSize - middle, right, false), naiveRoot(left)]
}

function split(count: number): number {
  let power = 1
  while (power * 2 < count) power *= 2
  return power
}

// The 8 entries that public CT implementations share as test data, and the roots of their first 1, 2 … 8.
export const CT_ENTRIES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'))

export const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
