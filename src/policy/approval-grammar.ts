/**
 * The language of approvals, as an author writes it in `@approval("2 of dba and 1 of owner(target)")`.
 *
 *     expression = conjunction { "or" conjunction }
 *     conjunction = auto | term { "and" term }
 *     auto = "auto" "when" condition { "and" condition }
 *     condition = "ticket" | "risk" "<" number
 *     term = [ number "of" ] group | "(" expression ")"
 *     group = team | "owner" "(" ( "target" | "subject" ) ")" | "on_call" "(" team ")"
 *
 * A person counts for one group, so a group on both sides of an `and` would be ambiguous (the sum, or the larger?) and is
 * refused. `auto` opens a gate without people, so it asks for a ticket that was verified (core 6), and it is a whole
 * alternative: beside it people still can.
 */
export type ApprovalGroup =
  | { readonly kind: 'team'; readonly team: string }
  | { readonly kind: 'owner'; readonly of: 'target' | 'subject' }
  /** People of the team who are on call at the time they approve. */
  | { readonly kind: 'on_call'; readonly team: string }

export type ApprovalExpression =
  | { readonly kind: 'count'; readonly count: number; readonly group: ApprovalGroup }
  /** Nobody: a verified ticket, and a risk below the bound where there is one. */
  | { readonly kind: 'auto'; readonly riskBelow: number | null }
  | { readonly kind: 'all'; readonly terms: readonly ApprovalExpression[] }
  | { readonly kind: 'any'; readonly terms: readonly ApprovalExpression[] }

/** Longer text is a mistake or an attack; the widest gate we have seen fits in a tenth. */
const MAX_LENGTH = 512
const MAX_DEPTH = 16
const MAX_COUNT = 20
const MAX_RISK = 100
const RESERVED = new Set(['of', 'and', 'or', 'owner', 'auto', 'when', 'on_call', 'not'])

/** Where an expression stops making sense: `column` counts from 1. */
export class ApprovalSyntaxError extends Error {
  readonly column: number
  readonly expected: readonly string[]
  readonly found: string

  constructor(column: number, expected: readonly string[], found: string) {
    super(`column ${column}: expected ${expected.join(' or ')}, found ${found}`)
    this.name = 'ApprovalSyntaxError'
    this.column = column
    this.expected = expected
    this.found = found
  }
}

type Token = {
  readonly kind: 'number' | 'word' | '(' | ')' | '<' | 'end'
  readonly text: string
  readonly column: number
}

const TOKEN = /\s+|(\d+)(?![a-z0-9._-])|([a-z0-9][a-z0-9._-]*)|([()<])/y

function tokenise(text: string): Token[] {
  if (text.length > MAX_LENGTH) {
    throw new ApprovalSyntaxError(MAX_LENGTH + 1, [`at most ${MAX_LENGTH} characters`], `${text.length}`)
  }
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (!match) throw new ApprovalSyntaxError(at + 1, ['a number', 'a team', '"("'], JSON.stringify(text[at]))
    const [whole, number, word, sign] = match
    const column = at + 1
    if (number !== undefined) tokens.push({ kind: 'number', text: number, column })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, column })
    else if (sign === '(' || sign === ')' || sign === '<') tokens.push({ kind: sign, text: sign, column })
    at += whole.length
  }
  tokens.push({ kind: 'end', text: '', column: text.length + 1 })
  return tokens
}

type Cursor = { readonly tokens: readonly Token[]; next: number }

function peek(cursor: Cursor): Token {
  return cursor.tokens[cursor.next] ?? { kind: 'end', text: '', column: 1 }
}

function take(cursor: Cursor): Token {
  const token = peek(cursor)
  if (token.kind !== 'end') cursor.next += 1
  return token
}

function refuse(token: Token, expected: readonly string[]): never {
  throw new ApprovalSyntaxError(token.column, expected, token.kind === 'end' ? 'the end' : JSON.stringify(token.text))
}

function takeText(cursor: Cursor, text: string, ...others: string[]): void {
  const token = take(cursor)
  if (token.text !== text) refuse(token, [`"${text}"`, ...others])
}

/** Parses an expression; throws `ApprovalSyntaxError` with the column and what was expected there. */
export function parseApproval(text: string): ApprovalExpression {
  const cursor: Cursor = { tokens: tokenise(text), next: 0 }
  const expression = parseAny(cursor, 0)
  if (peek(cursor).kind !== 'end') refuse(peek(cursor), ['"and"', '"or"', 'the end'])
  return expression
}

function parseAny(cursor: Cursor, depth: number): ApprovalExpression {
  if (depth > MAX_DEPTH) refuse(peek(cursor), [`at most ${MAX_DEPTH} nested brackets`])
  const terms = [parseAll(cursor, depth)]
  while (peek(cursor).text === 'or') {
    take(cursor)
    terms.push(parseAll(cursor, depth))
  }
  const [only] = terms
  return only && terms.length === 1 ? only : { kind: 'any', terms }
}

function parseAll(cursor: Cursor, depth: number): ApprovalExpression {
  if (peek(cursor).text === 'auto') return parseAuto(cursor)
  const terms: ApprovalExpression[] = []
  const counted = new Set<string>()
  for (;;) {
    const start = peek(cursor)
    const term = parseTerm(cursor, depth)
    const groups = [...groupsOf(term)].map(printGroup)
    const repeated = groups.find((group) => counted.has(group))
    if (repeated !== undefined) {
      throw new ApprovalSyntaxError(
        start.column,
        ['another group (write one number for the sum)'],
        `"${repeated}" again`,
      )
    }
    for (const group of groups) counted.add(group)
    terms.push(term)
    if (peek(cursor).text !== 'and') break
    take(cursor)
  }
  const [only] = terms
  return only && terms.length === 1 ? only : { kind: 'all', terms }
}

function parseAuto(cursor: Cursor): ApprovalExpression {
  const start = take(cursor)
  takeText(cursor, 'when')
  let ticket = false
  let riskBelow: number | null = null
  for (;;) {
    const token = take(cursor)
    if (token.text === 'ticket' && !ticket) ticket = true
    else if (token.text === 'risk' && riskBelow === null) {
      takeText(cursor, '<')
      const bound = take(cursor)
      riskBelow = Number(bound.text)
      if (bound.kind !== 'number' || riskBelow < 1 || riskBelow > MAX_RISK)
        refuse(bound, [`a number from 1 to ${MAX_RISK}`])
    } else refuse(token, [...(ticket ? [] : ['"ticket"']), ...(riskBelow === null ? ['"risk < number"'] : [])])
    if (peek(cursor).text !== 'and') break
    if (ticket && riskBelow !== null) refuse(peek(cursor), ['"or"', 'the end'])
    take(cursor)
  }
  if (!ticket) throw new ApprovalSyntaxError(start.column, ['"and ticket" in what opens by itself'], 'none')
  return { kind: 'auto', riskBelow }
}

function parseTerm(cursor: Cursor, depth: number): ApprovalExpression {
  const token = peek(cursor)
  if (token.text === 'auto') refuse(token, ['a group ("auto" stands alone, on one side of an "or")'])
  if (token.kind === '(') {
    take(cursor)
    const inner = parseAny(cursor, depth + 1)
    takeText(cursor, ')', '"and"', '"or"')
    return inner
  }
  if (token.kind !== 'number') return { kind: 'count', count: 1, group: parseGroup(cursor) }
  take(cursor)
  const count = Number(token.text)
  if (!(count >= 1 && count <= MAX_COUNT)) refuse(token, [`a number from 1 to ${MAX_COUNT}`])
  takeText(cursor, 'of')
  return { kind: 'count', count, group: parseGroup(cursor) }
}

function parseGroup(cursor: Cursor): ApprovalGroup {
  const token = take(cursor)
  if (token.text === 'owner') {
    takeText(cursor, '(')
    const of = take(cursor)
    if (of.text !== 'target' && of.text !== 'subject') refuse(of, ['"target"', '"subject"'])
    takeText(cursor, ')')
    return { kind: 'owner', of: of.text === 'target' ? 'target' : 'subject' }
  }
  if (token.text === 'on_call') {
    takeText(cursor, '(')
    const team = take(cursor)
    if (!isTeam(team)) refuse(team, ['a team'])
    takeText(cursor, ')')
    return { kind: 'on_call', team: team.text }
  }
  if (!isTeam(token)) refuse(token, ['a team', '"owner(target)"', '"owner(subject)"', '"on_call(team)"'])
  return { kind: 'team', team: token.text }
}

function isTeam(token: Token): boolean {
  return token.kind === 'word' && !RESERVED.has(token.text)
}

/** Every group an expression names, with repetitions. */
export function* groupsOf(expression: ApprovalExpression): Generator<ApprovalGroup> {
  if (expression.kind === 'count') yield expression.group
  else if (expression.kind !== 'auto') for (const term of expression.terms) yield* groupsOf(term)
}

/** Whether an expression could open without people, by a verified ticket. */
export function mayOpenByItself(expression: ApprovalExpression): boolean {
  if (expression.kind === 'auto') return true
  return expression.kind !== 'count' && expression.terms.some(mayOpenByItself)
}

/** A group as an author writes it. */
export function printGroup(group: ApprovalGroup): string {
  if (group.kind === 'team') return group.team
  return group.kind === 'owner' ? `owner(${group.of})` : `on_call(${group.team})`
}

/** The canonical text: terms in order of their text, each once, no needless brackets. Equal texts mean equal gates. */
export function printApproval(expression: ApprovalExpression): string {
  return printSimple(simplify(expression))
}

function printSimple(expression: ApprovalExpression): string {
  if (expression.kind === 'count') return `${expression.count} of ${printGroup(expression.group)}`
  if (expression.kind === 'auto') {
    return `auto when ${expression.riskBelow === null ? '' : `risk < ${expression.riskBelow} and `}ticket`
  }
  const inAll = expression.kind === 'all'
  const parts = expression.terms.map((term) =>
    // Inside an "and" the conditions of an "auto" would swallow what follows them.
    inAll && (term.kind === 'any' || term.kind === 'auto') ? `(${printSimple(term)})` : printSimple(term),
  )
  return parts.join(inAll ? ' and ' : ' or ')
}

function simplify(expression: ApprovalExpression): ApprovalExpression {
  if (expression.kind === 'count' || expression.kind === 'auto') return expression
  const { kind } = expression
  const flat = expression.terms.map(simplify).flatMap((term) => (term.kind === kind ? term.terms : [term]))
  const byText = new Map(flat.map((term) => [printSimple(term), term]))
  const terms = [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, term]) => term)
  const [only] = terms
  return only && terms.length === 1 ? only : { kind, terms }
}
