/**
 * What a match cannot do without, read from its pattern: a byte behind its beginning, and before it only certain ones. Most places where an address or a name stands
 * end in front of it, and to see that takes a few bytes and no pattern.
 */
import { parsePattern, type ByteSet, type Node } from './pattern.ts'
import { longestOf } from './shape.ts'

/** Counted from where a match begins: at one of the places from `from` to `to` stands a byte of `needed`; from `clear` up to it only those of `between` do. */
export type Need = {
  readonly from: number
  readonly clear: number
  readonly to: number
  readonly between: ByteSet
  readonly needed: ByteSet
}

/** So many different bytes are no sign. */
const MOST_NEEDED = 12
/** So far it is cheaper to look byte by byte. */
const FARTHEST = 512

/** The rarest thing that each match of a pattern has, the last of those that are equally rare; nothing if there is none. */
export function needOf(pattern: RegExp): Need | undefined {
  const parts = partsOf(parsePattern(pattern.source, pattern.ignoreCase))
  const begin = parts.findIndex(isOpen)
  if (begin < 0) return undefined
  const [from, clear] = [lengthOf(parts.slice(0, begin), shortestOf), lengthOf(parts.slice(0, begin), longestOf)]
  let best: Need | undefined
  let fewest = MOST_NEEDED
  for (let at = begin + 1; at < parts.length; at += 1) {
    const part = parts[at]
    const to = lengthOf(parts.slice(0, at), longestOf)
    if (!part || to > FARTHEST) break
    const { set: needed, mayBeNone } = firstOf(part)
    const count = sizeOf(needed)
    if (mayBeNone || count > fewest) continue
    fewest = count
    best = { from, clear, to, between: unionOf(parts.slice(begin, at).map(allOf)), needed }
  }
  return best
}

/** Whether a match may begin there. */
export function isMet({ from, clear, to, between, needed }: Need, bytes: Uint8Array, at: number): boolean {
  const end = Math.min(at + to, bytes.length - 1)
  for (let place = at + from; place <= end; place += 1) {
    const byte = bytes[place] ?? 0
    if (needed[byte] === 1) return true
    if (between[byte] === 0 && place >= at + clear) return false
  }
  return false
}

/** What follows each other, without groups around it. */
function partsOf(node: Node): Node[] {
  if (node.kind === 'sequence') return node.parts.flatMap(partsOf)
  const [only, ...others] = node.kind === 'either' ? node.parts : []
  return only && others.length === 0 ? partsOf(only) : [node]
}

/** Of no certain length: from here on places are not known. */
const isOpen = (node: Node): boolean => longestOf(node) - shortestOf(node) > 4

const lengthOf = (parts: readonly Node[], each: (node: Node) => number): number =>
  parts.reduce((all, part) => all + each(part), 0)

function shortestOf(node: Node): number {
  switch (node.kind) {
    case 'set':
      return 1
    case 'sequence':
      return lengthOf(node.parts, shortestOf)
    case 'either':
      return Math.min(...node.parts.map(shortestOf))
    case 'repeat':
      break
  }
  return node.least === 0 ? 0 : node.least * shortestOf(node.part)
}

const unionOf = (sets: readonly ByteSet[]): ByteSet => {
  const all = new Uint8Array(256)
  for (const set of sets) set.forEach((is, byte) => (all[byte] = (all[byte] ?? 0) | is))
  return all
}

const sizeOf = (set: ByteSet): number => set.reduce((all, is) => all + is, 0)

/** Every byte of it. */
function allOf(node: Node): ByteSet {
  if (node.kind === 'set') return node.set
  if (node.kind === 'repeat') return node.most === 0 ? new Uint8Array(256) : allOf(node.part)
  return unionOf(node.parts.map(allOf))
}

/** What it may begin with, and whether it may be nothing. */
function firstOf(node: Node): { readonly set: ByteSet; readonly mayBeNone: boolean } {
  switch (node.kind) {
    case 'set':
      return { set: node.set, mayBeNone: false }
    case 'repeat':
      return { set: firstOf(node.part).set, mayBeNone: node.least === 0 || firstOf(node.part).mayBeNone }
    case 'either': {
      const firsts = node.parts.map(firstOf)
      return { set: unionOf(firsts.map(({ set }) => set)), mayBeNone: firsts.some(({ mayBeNone }) => mayBeNone) }
    }
    case 'sequence':
      break
  }
  const sets: ByteSet[] = []
  for (const part of node.parts) {
    const first = firstOf(part)
    sets.push(first.set)
    if (!first.mayBeNone) return { set: unionOf(sets), mayBeNone: false }
  }
  return { set: unionOf(sets), mayBeNone: true }
}
