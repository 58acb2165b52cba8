// A lexer for one purpose: to take the literals out of a statement, so that recordings hold the statement without its data,
// which is kept under another key. It follows scan.l of PostgreSQL 18 with standard_conforming_strings on, and is never the
// judge of what a statement is.

/** A literal as it was written, quotes included; undefined where it may be a password and is not kept (core 13). */
export type Literal = string | undefined

export type Lexed = {
  /** The text with `$n` for each literal, numbered on from the parameters it has, and without comments. */
  readonly normalised: string
  readonly literals: readonly Literal[]
  /** The number of the first literal. */
  readonly firstNumber: number
  /** Speaks of passwords: parameter values of this statement must not be kept either. */
  readonly isSensitive: boolean
}

const number =
  /0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?/y
const word = /[A-Za-z_\x80-\uffff][A-Za-z0-9_$\x80-\uffff]*/y
const parameter = /\$(\d+)/y
const dollarQuote = /\$(?:[A-Za-z_\x80-\uffff][A-Za-z0-9_\x80-\uffff]*)?\$/y
const lineComment = /--[^\n\r]*/y
const plainString = /'(?:[^']|'')*(?:'|$)/y
// A quote is not doubled inside these.
const bitString = /'[^']*(?:'|$)/y
const escapeString = /'(?:[^'\\]|''|\\[^])*(?:'|\\?$)/y
// quotecontinue: a literal goes on after white space that holds a newline.
const continued = /(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*(?=')/y
const bodies: Readonly<Record<string, RegExp>> = {
  e: escapeString,
  E: escapeString,
  b: bitString,
  B: bitString,
  x: bitString,
  X: bitString,
  n: plainString,
  N: plainString,
}
const quotedName = /"(?:[^"]|"")*(?:"|$)/y
/** A word of these makes every literal of the statement suspect. */
export const speaksOfPasswords = /passw|pwd|secret/i
const looksLikePassword = /passw|pwd|secret|SCRAM-SHA-256\$/i

/** Takes the literals out. Total: what is not SQL comes back as something that is not SQL, without its quoted parts. */
export function lex(sql: string): Lexed {
  const state: State = { sql, at: 0, out: '', from: 0, literals: [], lastNumber: 0 }
  while (state.at < sql.length) step(state)
  const pieces = state.out + sql.slice(state.from)
  const firstNumber = state.lastNumber + 1
  const normalised = numbered(pieces, firstNumber)
  const isSensitive = speaksOfPasswords.test(normalised)
  return {
    normalised,
    firstNumber,
    isSensitive,
    literals: state.literals.map((text) => keepLiteral(text, isSensitive)),
  }
}

type State = {
  readonly sql: string
  at: number
  out: string
  from: number
  readonly literals: string[]
  lastNumber: number
}

/** Stands for a literal until all parameters are known. NUL cannot be in a statement; `analyse` refuses it. */
const MARK = '\0'

function step(state: State): void {
  const { sql, at } = state
  const code = sql.charCodeAt(at)
  if (isWordStart(code)) return stepWord(state, code)
  // `..` is a token of its own.
  if (code === 46 && sql.charCodeAt(at + 1) === 46) return void (state.at += 2)
  if (isDigit(code) || (code === 46 && isDigit(sql.charCodeAt(at + 1))))
    return literal(state, at, match(number, sql, at))
  if (code === 39) return literal(state, at, stringEnd(sql, at, plainString))
  if (code === 34) return void (state.at = match(quotedName, sql, at))
  if (code === 36) return stepDollar(state)
  if (code === 45 && sql.charCodeAt(at + 1) === 45) return comment(state, match(lineComment, sql, at))
  if (code === 47 && sql.charCodeAt(at + 1) === 42) return comment(state, blockCommentEnd(sql, at))
  state.at++
}

function stepWord(state: State, code: number): void {
  const { sql, at } = state
  const next = sql.charCodeAt(at + 1)
  if (next === 39 && Object.hasOwn(bodies, sql[at] ?? '')) {
    const body = bodies[sql[at] ?? ''] ?? plainString
    return literal(state, at, stringEnd(sql, at + 1, body))
  }
  if (next === 38 && (code === 85 || code === 117)) {
    const quote = sql.charCodeAt(at + 2)
    if (quote === 39) return literal(state, at, stringEnd(sql, at + 2, plainString))
  }
  state.at = match(word, sql, at)
}

function stepDollar(state: State): void {
  const { sql, at } = state
  parameter.lastIndex = at
  const found = parameter.exec(sql)
  if (found) {
    state.lastNumber = Math.max(state.lastNumber, Math.min(Number(found[1]), 65_535))
    state.at = parameter.lastIndex
    return
  }
  dollarQuote.lastIndex = at
  const opening = dollarQuote.exec(sql)?.[0]
  if (opening === undefined) return void state.at++
  const closing = sql.indexOf(opening, at + opening.length)
  literal(state, at, closing < 0 ? sql.length : closing + opening.length)
}

function literal(state: State, start: number, end: number): void {
  state.out += state.sql.slice(state.from, start) + MARK
  state.literals.push(state.sql.slice(start, end))
  state.from = end
  state.at = end
}

function comment(state: State, end: number): void {
  state.out += `${state.sql.slice(state.from, state.at)} `
  state.from = end
  state.at = end
}

function stringEnd(sql: string, quote: number, body: RegExp): number {
  let end = match(body, sql, quote)
  for (;;) {
    continued.lastIndex = end
    if (!continued.test(sql)) return end
    end = match(body, sql, continued.lastIndex)
  }
}

// Comments nest (scan.l, <xc>).
function blockCommentEnd(sql: string, start: number): number {
  let depth = 0
  for (let at = start; at < sql.length - 1; at++) {
    const code = sql.charCodeAt(at)
    const next = sql.charCodeAt(at + 1)
    if (code === 47 && next === 42) {
      depth++
      at++
    } else if (code === 42 && next === 47) {
      at++
      if (--depth === 0) return at + 1
    }
  }
  return sql.length
}

function numbered(pieces: string, firstNumber: number): string {
  if (!pieces.includes(MARK)) return pieces
  let next = firstNumber
  return pieces.replaceAll(MARK, () => `$${next++}`)
}

/** Keeps a literal only where it cannot be a password. */
export function keepLiteral(text: string, isSensitive: boolean): Literal {
  return isSensitive || looksLikePassword.test(text) ? undefined : text
}

function match(pattern: RegExp, sql: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(sql) ? pattern.lastIndex : at + 1
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isWordStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code > 127
}
