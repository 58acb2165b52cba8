/** Reads the part of ECMAScript's patterns (ECMA-262 §22.2.1) that rules are written in, over bytes. */

/** 1 for each byte that may stand there. */
export type ByteSet = Uint8Array

export type Node =
  | { readonly kind: 'set'; readonly set: ByteSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'either'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly least: number; readonly most: number }

/** Where in a pattern one is. */
type Reader = { readonly source: string; at: number }

/** The pattern as a tree. Throws on what is not read: back references, classes of Unicode, what lies beyond one byte. */
export function parsePattern(source: string, isFolded: boolean): Node {
  const reader = { source, at: 0 }
  const whole = either(reader, isFolded)
  return reader.at === source.length ? whole : fail(reader)
}

function fail({ source, at }: Reader): never {
  throw new Error(`The pattern ${source} cannot be read at ${at}.`)
}

function takes(reader: Reader, text: string): boolean {
  if (!reader.source.startsWith(text, reader.at)) return false
  reader.at += text.length
  return true
}

function takesAny(reader: Reader, texts: readonly string[]): boolean {
  return texts.some((text) => takes(reader, text))
}

function either(reader: Reader, isFolded: boolean): Node {
  const parts = [sequence(reader, isFolded)]
  while (takes(reader, '|')) parts.push(sequence(reader, isFolded))
  return { kind: 'either', parts }
}

function sequence(reader: Reader, isFolded: boolean): Node {
  const { source } = reader
  const parts: Node[] = []
  while (reader.at < source.length && source[reader.at] !== '|' && source[reader.at] !== ')') {
    parts.push(repeated(reader, atom(reader, isFolded)))
  }
  return { kind: 'sequence', parts }
}

function repeated(reader: Reader, part: Node): Node {
  const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(reader.source.slice(reader.at, reader.at + 20))
  if (!found) return part
  reader.at += found[0].length
  const [how, least, comma, most] = found
  if (how.startsWith('?')) return { kind: 'repeat', part, least: 0, most: 1 }
  if (how.startsWith('*')) return { kind: 'repeat', part, least: 0, most: Infinity }
  if (how.startsWith('+')) return { kind: 'repeat', part, least: 1, most: Infinity }
  const end = comma === '' ? Number(least) : most === '' ? Infinity : Number(most)
  return { kind: 'repeat', part, least: Number(least), most: end }
}

function atom(reader: Reader, isFolded: boolean): Node {
  if (takesAny(reader, ['^', '$', '\\b', '\\B'])) return EMPTY
  if (takesAny(reader, ['(?<!', '(?<=', '(?!', '(?='])) {
    // What only looks takes no place; as if it were not there, so that nothing is lost.
    either(reader, isFolded)
    return takes(reader, ')') ? EMPTY : fail(reader)
  }
  const group = /^\((?:\?(?:<\w+>|(i?):))?/.exec(reader.source.slice(reader.at, reader.at + 40))
  if (group) {
    reader.at += group[0].length
    const inner = either(reader, isFolded || group[1] === 'i')
    return takes(reader, ')') ? inner : fail(reader)
  }
  if (takes(reader, '[')) return { kind: 'set', set: characterClass(reader, isFolded) }
  if (takes(reader, '.')) return { kind: 'set', set: NO_LINE_END }
  return { kind: 'set', set: setOf(character(reader), isFolded) }
}

function characterClass(reader: Reader, isFolded: boolean): ByteSet {
  const { source } = reader
  const isNot = takes(reader, '^')
  const bytes: number[] = []
  while (!takes(reader, ']')) {
    if (reader.at >= source.length) fail(reader)
    const some = character(reader)
    const isRange = some.length === 1 && source[reader.at] === '-' && source[reader.at + 1] !== ']'
    if (!isRange) {
      bytes.push(...some)
      continue
    }
    reader.at += 1
    const [from, to] = [some[0] ?? 0, character(reader)[0] ?? 0]
    for (let byte = from; byte <= to; byte += 1) bytes.push(byte)
  }
  const set = setOf(bytes, isFolded)
  return isNot ? set.map((is) => 1 - is) : set
}

/** One character, or a class of them by its letter. */
function character(reader: Reader): readonly number[] {
  const { source } = reader
  const code = source.charCodeAt(reader.at)
  reader.at += 1
  if (code !== 0x5c) return code < 256 ? [code] : fail(reader)
  const letter = source[reader.at] ?? ''
  reader.at += 1
  const digits = letter === 'u' ? 4 : letter === 'x' ? 2 : 0
  if (digits > 0) {
    const value = parseInt(source.slice(reader.at, reader.at + digits), 16)
    reader.at += digits
    return value < 256 ? [value] : fail(reader)
  }
  const byLetter = LETTERS[letter]
  if (byLetter) return byLetter
  return /[A-Za-z0-9]/.test(letter) ? fail(reader) : [letter.charCodeAt(0)]
}

const EMPTY: Node = { kind: 'sequence', parts: [] }
const bytesOf = (test: RegExp): number[] =>
  Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => test.test(String.fromCharCode(byte)))
const NO_LINE_END = setOf(bytesOf(/./), false)
const LETTERS: Readonly<Record<string, readonly number[]>> = {
  d: bytesOf(/\d/),
  D: bytesOf(/\D/),
  w: bytesOf(/\w/),
  W: bytesOf(/\W/),
  s: bytesOf(/\s/),
  S: bytesOf(/\S/),
  n: [10],
  r: [13],
  t: [9],
}

export function setOf(bytes: readonly number[], isFolded: boolean): ByteSet {
  const set = new Uint8Array(256)
  for (const byte of bytes) {
    set[byte] = 1
    const isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a
    if (isFolded && isLetter) set[byte ^ 0x20] = 1
  }
  return set
}
