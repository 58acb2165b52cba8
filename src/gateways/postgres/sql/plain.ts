import { keepLiteral, speaksOfPasswords, type Lexed } from './lexer.ts'

// The short way for the texts that a busy application sends: words, quoted names, blanks, operators, short integers and ordinary
// strings, all ASCII. There nobody can be of two minds about where a literal starts and ends, and two such texts with equal
// `normalised` and `kinds` have parse trees that differ in the values of constants only. Anything else takes the long way.

export type PlainText = Omit<Lexed, 'isSensitive' | 'literals'> & {
  /** One letter per literal: `i` a short integer, `s` a string. */
  readonly kinds: string
  readonly rawLiterals: readonly string[]
}

const EXOTIC = 0
const OTHER = 1
const WORD = 2
const DIGIT = 3
const QUOTE = 4
const NAME_QUOTE = 5
const DASH = 6
const SLASH = 7

const classes = new Uint8Array(128)
for (const character of ' \t\n\r\f()[],;:.+*<>=~!@#%^&|`?{}') classes[character.charCodeAt(0)] = OTHER
for (let code = 0; code < 26; code++) classes[65 + code] = classes[97 + code] = WORD
for (let code = 48; code < 58; code++) classes[code] = DIGIT
classes[95] = WORD
classes[39] = QUOTE
classes[34] = NAME_QUOTE
classes[45] = DASH
classes[47] = SLASH

/** A longer one may be out of the range of an integer, which the grammar tells apart. */
const MOST_DIGITS = 9
const AMPERSAND = 38
const DOT = 46
const STAR = 42

/** Takes the literals out of a plain text; undefined where it is not plain. */
export function lexPlain(sql: string): PlainText | undefined {
  const rawLiterals: string[] = []
  let normalised = ''
  let kinds = ''
  let from = 0
  let at = 0
  while (at < sql.length) {
    const start = at
    const kind = classAt(sql, at)
    if (kind === EXOTIC) return undefined
    at++
    if (kind === WORD) {
      while (isWordPart(classAt(sql, at))) at++
      // E'', B'', N'' and their like are strings of other rules.
      if (sql.charCodeAt(at) === 39) return undefined
    } else if (kind === DIGIT || kind === QUOTE) {
      at = kind === DIGIT ? integerEnd(sql, start) : stringEnd(sql, start)
      // A string that goes on after a newline is one literal.
      if (at < 0 || (kind === QUOTE && kinds.endsWith('s') && sql.slice(from, start).trim() === '')) return undefined
      normalised += `${sql.slice(from, start)}$${rawLiterals.push(sql.slice(start, at))}`
      kinds += kind === DIGIT ? 'i' : 's'
      from = at
    } else if (kind === NAME_QUOTE) {
      at = nameEnd(sql, start)
      if (at < 0) return undefined
    } else if (kind === DASH && sql.charCodeAt(at) === 45) return undefined
    else if (kind === SLASH && sql.charCodeAt(at) === STAR) return undefined
  }
  return { normalised: normalised + sql.slice(from), kinds, rawLiterals, firstNumber: 1 }
}

/** Completes a plain text, given that its shape is known to speak of passwords or not. */
export function finishPlain(plain: PlainText, isSensitive: boolean = isSensitiveShape(plain)): Lexed {
  return {
    normalised: plain.normalised,
    firstNumber: plain.firstNumber,
    isSensitive,
    literals: plain.rawLiterals.map((text) => keepLiteral(text, isSensitive)),
  }
}

function isSensitiveShape(plain: PlainText): boolean {
  return speaksOfPasswords.test(plain.normalised)
}

function classAt(sql: string, at: number): number {
  const code = sql.charCodeAt(at)
  // Past the end the code is NaN, and so neither.
  return code < 128 ? (classes[code] ?? EXOTIC) : EXOTIC
}

function isWordPart(kind: number): boolean {
  return kind === WORD || kind === DIGIT
}

function integerEnd(sql: string, start: number): number {
  let at = start + 1
  while (classAt(sql, at) === DIGIT) at++
  const next = sql.charCodeAt(at)
  if (at - start > MOST_DIGITS || next === DOT || sql.charCodeAt(start - 1) === DOT) return -1
  return classAt(sql, at) === WORD ? -1 : at
}

function stringEnd(sql: string, start: number): number {
  if (sql.charCodeAt(start - 1) === AMPERSAND) return -1
  let at = start
  do {
    at = sql.indexOf("'", at + 1)
    if (at < 0) return -1
    at++
  } while (sql.charCodeAt(at) === 39)
  for (let index = start; index < at; index++) {
    const code = sql.charCodeAt(index)
    if (code > 127 || code === 0) return -1
  }
  return at
}

function nameEnd(sql: string, start: number): number {
  if (sql.charCodeAt(start - 1) === AMPERSAND) return -1
  const at = sql.indexOf('"', start + 1)
  for (let index = start; index < at; index++) {
    const code = sql.charCodeAt(index)
    if (code > 127 || code === 0) return -1
  }
  return at < 0 ? -1 : at + 1
}
