import { printApproval, printGroup, type ApprovalExpression, type ApprovalGroup } from './approval-grammar.ts'

/**
 * Whether a gate is open. A person counts for at most one group over all expressions of a gate, so the question is an
 * assignment of people to groups: the gate is brought to its alternatives (one number per group), and an alternative is
 * filled by bipartite matching. Two names for one team, `owner(target)` and `dba`, stay two groups and need two people.
 */
export type Approval = {
  readonly approver: string
  readonly teams: readonly string[]
  /** Those of the teams that the person was on call for when they approved. */
  readonly onCall?: readonly string[]
}

export type ApprovalFacts = {
  /** The team that owns the target or the subject; null when nobody does. */
  readonly ownerOfTarget: string | null
  readonly ownerOfSubject: string | null
  /** People tied to the request (core 6): requester, owner, sponsor, delegator, trigger. They never count. */
  readonly excluded: ReadonlySet<string>
  /** What an `auto` asks for, as it is known now; without it none is open. */
  readonly auto?: {
    /** The high end. */
    readonly risk: number
    readonly isTicketVerified: boolean
  }
}

type People = { readonly kind: 'people'; readonly group: ApprovalGroup; readonly count: number }
type Auto = Extract<ApprovalExpression, { kind: 'auto' }>
type Need = People | Auto
type Alternative = ReadonlyMap<string, Need>
type Lack = { readonly words: string; readonly weight: number }
/** Who may count, with the groups of both kinds that they are in. */
type Person = { readonly teams: ReadonlySet<string>; readonly onCall: ReadonlySet<string> }

/** What nobody can bring by agreeing stands last among the ways to open a gate. */
const AUTO_WEIGHT = 100

/** A gate of more alternatives than this is not one a person can read; it stays shut. */
const MAX_ALTERNATIVES = 256

/** Whether the approvals open every expression. Never throws; a gate too wide to examine is shut. */
export function isSatisfied(
  expressions: readonly ApprovalExpression[],
  approvals: readonly Approval[],
  facts: ApprovalFacts,
): boolean {
  if (expressions.length === 0) return true
  const people = countable(approvals, facts)
  return (alternatives(expressions) ?? []).some((alternative) => lacks(alternative, people, facts).length === 0)
}

/** What is still needed, in words, one entry per way to open the gate, shortest first; empty when it is open. */
export function missingApprovals(
  expressions: readonly ApprovalExpression[],
  approvals: readonly Approval[],
  facts: ApprovalFacts,
): string[] {
  const ways = alternatives(expressions)
  if (ways === null) return ['an approval expression with fewer alternatives']
  const people = countable(approvals, facts)
  const lacking = ways.map((way) => lacks(way, people, facts))
  if (lacking.some((way) => way.length === 0)) return []
  return lacking.toSorted((a, b) => total(a) - total(b)).map((way) => way.map(({ words }) => words).join(' and '))
}

export type Possibility = { readonly possible: true } | { readonly possible: false; readonly reason: string }

/** Whether anyone could ever open the gate, and if not, who would have to exist (rule 9). */
export function isPossible(
  expressions: readonly ApprovalExpression[],
  roster: readonly Approval[],
  facts: ApprovalFacts,
): Possibility {
  const missing = missingApprovals(expressions, roster, facts)
  if (missing.length === 0) return { possible: true }
  const excluded = [...facts.excluded].sort()
  const tied = excluded.length > 0 ? ` Tied to the request and not counted: ${excluded.join(', ')}.` : ''
  return { possible: false, reason: `Nobody can approve this; there would have to be ${missing.join('; or ')}.${tied}` }
}

function total(way: readonly Lack[]): number {
  return way.reduce((sum, { weight }) => sum + weight, 0)
}

function nameGroup(group: ApprovalGroup, facts: ApprovalFacts): string {
  if (group.kind === 'team') return group.team
  if (group.kind === 'on_call') return `${printGroup(group)}, who is on call then`
  const team = teamOf(group, facts)
  return team === null ? `${printGroup(group)}, which no team is` : `${printGroup(group)}, the team ${team}`
}

function teamOf(group: ApprovalGroup, facts: ApprovalFacts): string | null {
  if (group.kind !== 'owner') return group.team
  return group.of === 'target' ? facts.ownerOfTarget : facts.ownerOfSubject
}

/** Distinct people that may count. Who is listed twice keeps only the teams both rows agree on. */
function countable(approvals: readonly Approval[], facts: ApprovalFacts): Person[] {
  const people = new Map<string, Person>()
  for (const approval of approvals) {
    if (facts.excluded.has(approval.approver)) continue
    const one = { teams: new Set(approval.teams), onCall: new Set(approval.onCall) }
    const seen = people.get(approval.approver)
    people.set(
      approval.approver,
      seen ? { teams: seen.teams.intersection(one.teams), onCall: seen.onCall.intersection(one.onCall) } : one,
    )
  }
  return [...people.values()]
}

/** What an `auto` still lacks, in words; null when it holds. */
function lackOf({ riskBelow }: Auto, { auto }: ApprovalFacts): Lack | null {
  const lacking: string[] = []
  if (riskBelow !== null && !(auto && auto.risk < riskBelow)) {
    lacking.push(`a risk below ${riskBelow}${auto ? ` (it is ${auto.risk})` : ''}`)
  }
  if (!auto?.isTicketVerified) lacking.push('a ticket that was verified')
  return lacking.length === 0 ? null : { words: lacking.join(' and '), weight: AUTO_WEIGHT }
}

/** The gate as a list of numbers per group, without those that ask for more than another; null past the bound. */
function alternatives(expressions: readonly ApprovalExpression[]): Alternative[] | null {
  return conjoin(expressions.map(alternativesOf))
}

function alternativesOf(expression: ApprovalExpression): Alternative[] | null {
  if (expression.kind === 'count') {
    return [
      new Map([[printGroup(expression.group), { kind: 'people', group: expression.group, count: expression.count }]]),
    ]
  }
  if (expression.kind === 'auto') return [new Map([[printApproval(expression), expression]])]
  const terms = expression.terms.map(alternativesOf)
  if (expression.kind === 'all') return conjoin(terms)
  const ways: Alternative[] = []
  for (const term of terms) {
    if (term === null) return null
    ways.push(...term)
  }
  return bounded(ways)
}

function conjoin(terms: readonly (readonly Alternative[] | null)[]): Alternative[] | null {
  let ways: Alternative[] = [new Map()]
  for (const term of terms) {
    if (term === null) return null
    const next = bounded(ways.flatMap((way) => term.map((other) => merge(way, other))))
    if (next === null) return null
    ways = next
  }
  return ways
}

/** Both at once: the larger number where they name the same group, because its people are the same people. */
function merge(one: Alternative, other: Alternative): Alternative {
  const both = new Map(one)
  for (const [key, need] of other) {
    if (numberOf(both.get(key)) < numberOf(need)) both.set(key, need)
  }
  return both
}

function bounded(ways: readonly Alternative[]): Alternative[] | null {
  const kept: Alternative[] = []
  for (const way of ways) {
    if (kept.some((other) => asksNoMore(other, way))) continue
    const rest = kept.filter((other) => !asksNoMore(way, other))
    if (rest.length >= MAX_ALTERNATIVES) return null
    kept.splice(0, kept.length, ...rest, way)
  }
  return kept
}

function asksNoMore(one: Alternative, other: Alternative): boolean {
  for (const [key, need] of one) if (numberOf(need) > numberOf(other.get(key))) return false
  return true
}

function numberOf(need: Need | undefined): number {
  if (!need) return 0
  return need.kind === 'people' ? need.count : 1
}

/** What one alternative lacks after the best assignment: Kuhn's augmenting paths, a seat per person asked for. */
function lacks(way: Alternative, people: readonly Person[], facts: ApprovalFacts): Lack[] {
  const needs = [...way.values()]
  const seats = needs.flatMap((need) =>
    need.kind === 'people' ? Array<ApprovalGroup>(need.count).fill(need.group) : [],
  )
  const seatOf = new Map<number, number>()
  const empty = new Map<string, { readonly group: ApprovalGroup; readonly lacking: number }>()
  seats.forEach((group, seat) => {
    if (seatPerson(seat, seats, people, facts, { seatOf, tried: new Set() })) return
    const key = printGroup(group)
    empty.set(key, { group, lacking: (empty.get(key)?.lacking ?? 0) + 1 })
  })
  return [
    ...[...empty.values()].map(({ group, lacking }) => ({
      words: `${lacking} more of ${nameGroup(group, facts)}`,
      weight: lacking,
    })),
    ...needs.flatMap((need) => (need.kind === 'auto' ? (lackOf(need, facts) ?? []) : [])),
  ]
}

type Assignment = { readonly seatOf: Map<number, number>; readonly tried: Set<number> }

function seatPerson(
  seat: number,
  seats: readonly ApprovalGroup[],
  people: readonly Person[],
  facts: ApprovalFacts,
  assignment: Assignment,
): boolean {
  const group = seats[seat]
  const team = group ? teamOf(group, facts) : null
  if (!group || team === null) return false
  for (const [person, { teams, onCall }] of people.entries()) {
    const isOf = teams.has(team) && (group.kind !== 'on_call' || onCall.has(team))
    if (!isOf || assignment.tried.has(person)) continue
    assignment.tried.add(person)
    const held = assignment.seatOf.get(person)
    if (held === undefined || seatPerson(held, seats, people, facts, assignment)) {
      assignment.seatOf.set(person, seat)
      return true
    }
  }
  return false
}
