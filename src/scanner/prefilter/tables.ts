/** What the module of the prefilter reads: bits that bytes must have, in place of sets of bytes. They let through too much and never too little. */
import type { Fragment } from './fragments.ts'
import { IS_BASE64 } from './hash.ts'
import { ANY, type Shape } from './shape.ts'
import type { ByteSet } from './pattern.ts'

/** Sixteen bytes fit if what the mask leaves of them is the value. */
export type Bits = { readonly mask: Uint8Array; readonly value: Uint8Array }

const LANES = 16

/** The bits that all bytes have that may stand at each place; the sets of one place are those of all who share it. */
function bitsOf(placesOf: readonly ByteSet[][]): Bits {
  const [mask, value] = [new Uint8Array(LANES), new Uint8Array(LANES)]
  placesOf.forEach((sets, place) => {
    let [all, some] = [0xff, 0]
    for (const set of sets) {
      const [inAll, inSome] = commonOf(set)
      all &= inAll
      some |= inSome
    }
    // Set in all of them, or in none.
    mask[place] = ~(all ^ some)
    value[place] = all & (mask[place] ?? 0)
  })
  return { mask, value }
}

const known = new WeakMap<ByteSet, readonly [all: number, some: number]>()

/** The bits that all bytes of a set have, and those that any has. */
function commonOf(set: ByteSet): readonly [all: number, some: number] {
  const before = known.get(set)
  if (before) return before
  let [all, some] = [0xff, 0]
  for (let byte = 0; byte < 256; byte += 1) {
    if (set[byte] !== 1) continue
    all &= byte
    some |= byte
  }
  known.set(set, [all, some])
  return [all, some]
}

/** A shape by the bits of its first sixteen places. */
export const bitsOfShape = (shape: Shape): Bits =>
  bitsOf(Array.from({ length: LANES }, (_, place) => [shape[place] ?? ANY]))

/** How far before a word the bytes begin that a row is held against. */
export const ROW_BEFORE = 4

/** What all fragments of one hash have in common, around the word. */
export const bitsOfRow = (row: readonly Fragment[]): Bits =>
  bitsOf(
    Array.from({ length: LANES }, (_, at) => row.map(({ shape, offset }) => shape[offset - ROW_BEFORE + at] ?? ANY)),
  )

/** Which halves of bytes make a base64 character: one bit for each row of the ASCII table, the two rows of letters from 1 on share one. */
export function classTables(): Uint8Array {
  const rows = [2, 3, 4, 5, 7]
  const tables = new Uint8Array(2 * LANES)
  rows.forEach((row, bit) => {
    for (let low = 0; low < LANES; low += 1) {
      if (IS_BASE64[row * LANES + low] === 1) tables[low] = (tables[low] ?? 0) | (1 << bit)
    }
    tables[LANES + row] = 1 << bit
  })
  tables[LANES + 6] = 1 << rows.indexOf(4)
  return tables
}

/** For eight answers as bits, the first one highest: eight bytes that begin with the numbers of those that are yes. */
export function numbersOfBits(scale: number): Uint8Array {
  const numbers = new Uint8Array(256 * 8)
  for (let bits = 0; bits < 256; bits += 1) {
    const yes = [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => ((bits >> (7 - n)) & 1) === 1)
    numbers.set(
      yes.map((n) => n * scale),
      bits * 8,
    )
  }
  return numbers
}
