/**
 * Patterns for ticket numbers: a small part of regular expressions (literals, classes, quantifiers, alternatives at the
 * top, no brackets) that always matches the whole ticket. Tickets come from requesters, so a pattern may not be able to
 * make matching slow: at most three open quantifiers and no nesting bound the work.
 */
const MAX_PATTERN = 64
const MAX_TICKET = 64
const MAX_OPEN_QUANTIFIERS = 3
const PIECE =
  /(?:\[\^?(?:[A-Za-z0-9 _./#:-]+)\]|\\[dw.+*?|\\[\](){}^$/-]|[A-Za-z0-9 _/#:.-])(?<quantifier>[*+?]|\{\d{1,2}(?:,(?<most>\d{0,2}))?\})?|\|/y

/** Why a pattern can't be used, or null. */
export function faultInPattern(pattern: string): string | null {
  if (pattern.length === 0 || pattern.length > MAX_PATTERN) return `expected 1 to ${MAX_PATTERN} characters`
  let at = 0
  let open = 0
  while (at < pattern.length) {
    PIECE.lastIndex = at
    const piece = PIECE.exec(pattern)
    if (!piece) return `character ${at + 1} (${JSON.stringify(pattern[at])}) is not part of a ticket pattern`
    const quantifier = piece.groups?.['quantifier']
    if (quantifier !== undefined && quantifier !== '?' && !/^\{\d+\}$/.test(quantifier)) open += 1
    at += piece[0].length
  }
  if (open > MAX_OPEN_QUANTIFIERS) return `expected at most ${MAX_OPEN_QUANTIFIERS} quantifiers`
  return compile(pattern) ? null : 'it is not a regular expression'
}

/** Whether the whole ticket has the pattern's form. A pattern with a fault matches nothing. */
export function matchesTicket(pattern: string, ticket: string): boolean {
  if (ticket.length > MAX_TICKET || faultInPattern(pattern) !== null) return false
  return compile(pattern)?.test(ticket) ?? false
}

function compile(pattern: string): RegExp | null {
  try {
    return new RegExp(`^(?:${pattern})$`)
  } catch {
    return null
  }
}
