/**
 * What the first bytes of a match can be, read from its pattern: a set of bytes for each place. The sets may hold too much and never too little, so a
 * place that does not fit them is no match. From them the prefilter takes what it looks for, and they are asked before the pattern is.
 */
import { parsePattern, setOf, type ByteSet, type Node } from './pattern.ts'

/** The sets of the first places; what lies behind them may be anything, and need not be there. */
export type Shape = readonly ByteSet[]

/** Places that are looked at; more reject little more. */
const PLACES = 12

export const ANY: ByteSet = new Uint8Array(256).fill(1)

/** What a pattern without look-behind looks at, and how long its match can be. Throws on what it cannot read. */
export function shapeOf(pattern: RegExp): { readonly shape: Shape; readonly longest: number } {
  const node = parsePattern(pattern.source, pattern.ignoreCase)
  const shape = Array.from({ length: PLACES }, () => new Uint8Array(256))
  const ends = spread(node, 1, shape)
  // Where a match may have ended anything may stand, or nothing: from the lowest bit on.
  const from = 31 - Math.clz32(ends & -ends)
  return { shape: shape.map((set, at) => (at >= from ? ANY : set)), longest: longestOf(node) }
}

/** A literal in any case of letters. */
export function shapeOfLiteral(literal: string): Shape {
  return Array.from(literal, (character) => setOf([character.charCodeAt(0)], true))
}

/** Both at once; none of the longer one's places are lost. */
export function both(a: Shape, b: Shape): Shape {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, at) => {
    const [one, other] = [a[at] ?? ANY, b[at] ?? ANY]
    return one === ANY ? other : other === ANY ? one : one.map((is, byte) => is & (other[byte] ?? 0))
  })
}

export function fits(shape: Shape, bytes: Uint8Array, at: number): boolean {
  for (let place = 0; place < shape.length; place += 1) {
    // Behind the end stands nothing, which only fits where anything does.
    const byte = bytes[at + place]
    const set = shape[place]
    if (set !== ANY && (byte === undefined || set?.[byte] !== 1)) return false
  }
  return true
}

/** Enters into each place what can stand there. Where it may begin and where it may end are bits, one for each place. */
function spread(node: Node, starts: number, shape: readonly ByteSet[]): number {
  switch (node.kind) {
    case 'set':
      for (let at = 0; at < PLACES; at += 1) {
        const set = shape[at]
        if (((starts >> at) & 1) === 0 || !set) continue
        for (let byte = 0; byte < 256; byte += 1) set[byte] = (set[byte] ?? 0) | (node.set[byte] ?? 0)
      }
      // The last bit is for all that lies behind.
      return ((starts << 1) & ((2 << PLACES) - 1)) | (starts & (1 << PLACES))
    case 'sequence':
      return node.parts.reduce((at, part) => spread(part, at, shape), starts)
    case 'either':
      return node.parts.reduce((ends, part) => ends | spread(part, starts, shape), 0)
    case 'repeat':
      break
  }
  let at = starts
  let ends = node.least === 0 ? starts : 0
  for (let n = 1; n <= Math.min(node.most, node.least + PLACES) && at !== 1 << PLACES; n += 1) {
    at = spread(node.part, at, shape)
    if (n >= node.least) ends |= at
  }
  return ends | (at & (1 << PLACES))
}

export function longestOf(node: Node): number {
  switch (node.kind) {
    case 'set':
      return 1
    case 'sequence':
      return node.parts.reduce((all, part) => all + longestOf(part), 0)
    case 'either':
      return Math.max(...node.parts.map(longestOf))
    case 'repeat':
      break
  }
  const one = longestOf(node.part)
  return one === 0 || node.most === 0 ? 0 : node.most * one
}
