import { printGroup, type ApprovalExpression, type ApprovalGroup } from './approval-grammar.ts'

/**
 * Whether a gate is open. A person counts for at most one group over all expressions of a gate, so the question is an
 * assignment of people to groups: the gate is brought to its alternatives (one number per group), and an alternative is
 * filled by bipartite matching. Two names for one team, `owner(target)` and `dba`, stay two groups and need two people.
 */
export type Approval = { readonly approver: string; readonly teams: readonly string[] }

export type ApprovalFacts = {
  /** The team that owns the target or the subject; null when nobody does. */
  readonly ownerOfTarget: string | null
  readonly ownerOfSubject: string | null
  /** People tied to the request (core 6): requester, owner, sponsor, delegator, trigger. They never count. */
  readonly excluded: ReadonlySet<string>
}

type Need = { readonly group: ApprovalGroup; readonly count: number }
type Alternative = ReadonlyMap<string, Need>
type Lack = { readonly group: ApprovalGroup; readonly lacking: number }

/** A gate of more alternatives than this is not one a person can read; it stays shut. */
const MAX_ALTERNATIVES = 256

/** Whether the approvals open every expression. Never throws; a gate too wide to examine is shut. */
export function isSatisfied(
  expressions: readonly ApprovalExpression[],
  approvals: readonly Approval[],
  facts: ApprovalFacts,
): boolean {
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
  return lacking
    .toSorted((a, b) => total(a) - total(b))
    .map((way) => way.map(({ group, lacking: n }) => `${n} more of ${nameGroup(group, facts)}`).join(' and '))
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
  return way.reduce((sum, { lacking }) => sum + lacking, 0)
}

function nameGroup(group: ApprovalGroup, facts: ApprovalFacts): string {
  if (group.kind === 'team') return group.team
  const team = teamOf(group, facts)
  return team === null ? `${printGroup(group)}, which no team is` : `${printGroup(group)}, the team ${team}`
}

function teamOf(group: ApprovalGroup, facts: ApprovalFacts): string | null {
  if (group.kind === 'team') return group.team
  return group.of === 'target' ? facts.ownerOfTarget : facts.ownerOfSubject
}

/** Distinct people that may count. Who is listed twice keeps only the teams both rows agree on. */
function countable(approvals: readonly Approval[], facts: ApprovalFacts): ReadonlySet<string>[] {
  const teamsOf = new Map<string, ReadonlySet<string>>()
  for (const { approver, teams } of approvals) {
    if (facts.excluded.has(approver)) continue
    const seen = teamsOf.get(approver)
    teamsOf.set(approver, seen ? seen.intersection(new Set(teams)) : new Set(teams))
  }
  return [...teamsOf.values()]
}

/** The gate as a list of numbers per group, without those that ask for more than another; null past the bound. */
function alternatives(expressions: readonly ApprovalExpression[]): Alternative[] | null {
  return conjoin(expressions.map(alternativesOf))
}

function alternativesOf(expression: ApprovalExpression): Alternative[] | null {
  if (expression.kind === 'count') {
    return [new Map([[printGroup(expression.group), { group: expression.group, count: expression.count }]])]
  }
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
    if ((both.get(key)?.count ?? 0) < need.count) both.set(key, need)
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
  for (const [key, need] of one) if (need.count > (other.get(key)?.count ?? 0)) return false
  return true
}

/** What one alternative lacks after the best assignment: Kuhn's augmenting paths, a seat per person asked for. */
function lacks(way: Alternative, people: readonly ReadonlySet<string>[], facts: ApprovalFacts): Lack[] {
  const seats = [...way.values()].flatMap((need) => Array.from({ length: need.count }, () => need.group))
  const seatOf = new Map<number, number>()
  const empty = new Map<string, Lack>()
  seats.forEach((group, seat) => {
    if (seatPerson(seat, seats, people, facts, { seatOf, tried: new Set() })) return
    const key = printGroup(group)
    empty.set(key, { group, lacking: (empty.get(key)?.lacking ?? 0) + 1 })
  })
  return [...empty.values()]
}

type Assignment = { readonly seatOf: Map<number, number>; readonly tried: Set<number> }

function seatPerson(
  seat: number,
  seats: readonly ApprovalGroup[],
  people: readonly ReadonlySet<string>[],
  facts: ApprovalFacts,
  assignment: Assignment,
): boolean {
  const group = seats[seat]
  const team = group ? teamOf(group, facts) : null
  if (team === null) return false
  for (const [person, teams] of people.entries()) {
    if (!teams.has(team) || assignment.tried.has(person)) continue
    assignment.tried.add(person)
    const held = assignment.seatOf.get(person)
    if (held === undefined || seatPerson(held, seats, people, facts, assignment)) {
      assignment.seatOf.set(person, seat)
      return true
    }
  }
  return false
}
