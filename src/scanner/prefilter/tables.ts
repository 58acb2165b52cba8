/** What the module of the prefilter reads: bits that bytes must have, in place of sets of bytes. They let through too much and never too little. */
import type { Fragment } from './fragments.ts'
import { IS_BASE64 } from './hash.ts'
import { ANY, type Shape } from './shape.ts'
import type { ByteSet } from './pattern.ts'

const LANES = 16

/** For each place of a shape the bits that all bytes have which may stand there, and those that any has. */
type Bits = { readonly all: Uint8Array; readonly any: Uint8Array }

const ofSets = new WeakMap<ByteSet, readonly [all: number, any: number]>()

function bitsOfSet(set: ByteSet): readonly [all: number, any: number] {
  const before = ofSets.get(set)
  if (before) return before
  let [all, any] = [0xff, 0]
  for (let byte = 0; byte < 256; byte += 1) {
    if (set[byte] !== 1) continue
    all &= byte
    any |= byte
  }
  ofSets.set(set, [all, any])
  return [all, any]
}

const ofShapes = new WeakMap<Shape, Bits>()

function bitsOfShape(shape: Shape): Bits {
  const before = ofShapes.get(shape)
  if (before) return before
  const bits = { all: new Uint8Array(shape.length), any: new Uint8Array(shape.length) }
  for (let place = 0; place < shape.length; place += 1)
    [bits.all[place], bits.any[place]] = bitsOfSet(shape[place] ?? ANY)
  ofShapes.set(shape, bits)
  return bits
}

/**
 * What sixteen bytes have in common in which these shapes stand, each from its own place on: first the bits that count, then what they are. A bit counts if all
 * have it, or none.
 */
export function writeCommon(
  fragments: readonly Pick<Fragment, 'shape' | 'offset'>[],
  before: number,
  into: Uint8Array,
  at: number,
): void {
  for (let lane = 0; lane < LANES; lane += 1) {
    let [all, any] = [0xff, 0]
    for (const { shape, offset } of fragments) {
      const bits = bitsOfShape(shape)
      // Outside of a shape anything may stand.
      all &= bits.all[offset - before + lane] ?? 0
      any |= bits.any[offset - before + lane] ?? 0xff
    }
    const mask = ~(all ^ any) & 0xff
    into[at + lane] = mask
    into[at + LANES + lane] = all & mask
  }
}

/** How many bytes a shape is about if bits say all of it; otherwise it is to be looked at again. */
export function toldByBits(shape: Shape): number | undefined {
  const bits = bitsOfShape(shape)
  let size = 0
  for (let place = 0; place < shape.length; place += 1) {
    const differ = (bits.all[place] ?? 0) ^ (bits.any[place] ?? 0)
    if (differ === 0xff && shape[place] === ANY) continue
    let different = 1
    for (let rest = differ; rest > 0; rest &= rest - 1) different *= 2
    if (place >= LANES || (shape[place] ?? ANY).reduce((all, is) => all + is, 0) !== different) return undefined
    size = place + 1
  }
  return size
}

/** How far before a word the bytes begin that a row is held against. */
export const ROW_BEFORE = 4

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

/** For eight answers as bits, the first one highest: eight bytes that begin with the numbers of those that are yes, times the scale. */
export function numbersOfBits(scale: number): Uint8Array {
  const numbers = new Uint8Array(256 * 8)
  for (let bits = 0; bits < 256; bits += 1) {
    let at = bits * 8
    for (let n = 0; n < 8; n += 1) {
      if (((bits >> (7 - n)) & 1) === 0) continue
      numbers[at] = n * scale
      at += 1
    }
  }
  return numbers
}
