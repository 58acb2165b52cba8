import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { groupsOf, parseApproval, printApproval, printGroup, type ApprovalExpression } from './approval-grammar.ts'
import { isPossible, isSatisfied, missingApprovals, type Approval, type ApprovalFacts } from './approval.ts'

const nobodyTied: ApprovalFacts = { ownerOfTarget: 'payments', ownerOfSubject: null, excluded: new Set() }

function gate(text: string): ApprovalExpression[] {
  return [parseApproval(text)]
}

function by(approver: string, ...teams: string[]): Approval {
  return { approver, teams }
}

const group = fc.oneof(
  fc.constantFrom('a', 'b', 'c').map((team) => ({ kind: 'team' as const, team })),
  fc.constantFrom('target' as const, 'subject' as const).map((of) => ({ kind: 'owner' as const, of })),
  fc.constantFrom('a', 'b').map((team) => ({ kind: 'on_call' as const, team })),
)
const auto = fc.record({ kind: fc.constant('auto' as const), riskBelow: fc.constantFrom(20, 60, null) })
const count = fc.record({ kind: fc.constant('count' as const), count: fc.integer({ min: 1, max: 3 }), group })
const expression: fc.Arbitrary<ApprovalExpression> = fc.letrec<{ node: ApprovalExpression }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    { arbitrary: count, weight: 3 },
    auto,
    fc.record({
      kind: fc.constantFrom('all' as const, 'any' as const),
      terms: fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
    }),
  ),
})).node
const people = fc
  .array(fc.tuple(fc.subarray(['a', 'b', 'c', 'payments', 'web']), fc.subarray(['a', 'b'])), { maxLength: 5 })
  .map((all) => all.map(([teams, onCall], at) => ({ approver: `person-${at}`, teams, onCall })))
const facts = fc.record({
  ownerOfTarget: fc.constantFrom('payments', 'a', null),
  ownerOfSubject: fc.constantFrom('web', 'a', null),
  excluded: fc.subarray(['person-0', 'person-1']).map((all) => new Set(all)),
  auto: fc.record({ risk: fc.integer({ min: 0, max: 100 }), isTicketVerified: fc.boolean() }),
})

/** The definition itself: some way to give each person at most one group makes every expression true. */
function bruteForce(gates: readonly ApprovalExpression[], all: readonly Approval[], known: ApprovalFacts): boolean {
  const groups = [...new Map(gates.flatMap((g) => [...groupsOf(g)]).map((g) => [printGroup(g), g])).values()]
  const counting = all.filter(({ approver }) => !known.excluded.has(approver))
  const teamOf = (g: (typeof groups)[number]) =>
    g.kind !== 'owner' ? g.team : g.of === 'target' ? known.ownerOfTarget : known.ownerOfSubject
  const opensByItself = (riskBelow: number | null) =>
    known.auto?.isTicketVerified === true && (riskBelow === null || known.auto.risk < riskBelow)
  const holds = (e: ApprovalExpression, counts: ReadonlyMap<string, number>): boolean =>
    e.kind === 'auto'
      ? opensByItself(e.riskBelow)
      : e.kind === 'count'
        ? (counts.get(printGroup(e.group)) ?? 0) >= e.count
        : e.terms[e.kind === 'all' ? 'every' : 'some']((term) => holds(term, counts))
  const assign = (at: number, counts: ReadonlyMap<string, number>): boolean => {
    const person = counting[at]
    if (!person) return gates.every((g) => holds(g, counts))
    if (assign(at + 1, counts)) return true
    return groups.some((g) => {
      const team = teamOf(g)
      if (team === null || !person.teams.includes(team)) return false
      if (g.kind === 'on_call' && !person.onCall?.includes(team)) return false
      const key = printGroup(g)
      return assign(at + 1, new Map(counts).set(key, (counts.get(key) ?? 0) + 1))
    })
  }
  return assign(0, new Map())
}

test('a gate is open exactly when some assignment of people to groups opens it', () => {
  const seen = { open: 0, shut: 0 }
  fc.assert(
    fc.property(fc.array(expression, { minLength: 1, maxLength: 2 }), people, facts, (gates, all, known) => {
      const expected = bruteForce(gates, all, known)
      seen[expected ? 'open' : 'shut'] += 1
      assert.equal(isSatisfied(gates, all, known), expected)
      assert.equal(missingApprovals(gates, all, known).length === 0, expected)
      assert.equal(isPossible(gates, all, known).possible, expected)
    }),
    { numRuns: 2000 },
  )
  assert.ok(seen.open > 100 && seen.shut > 100, `both answers are examined: ${JSON.stringify(seen)}`)
})

test('one more approval never shuts a gate', () => {
  fc.assert(
    fc.property(expression, people, facts, (e, all, known) => {
      if (isSatisfied([e], all.slice(1), known)) assert.ok(isSatisfied([e], all, known))
    }),
  )
})

test('the canonical text of an expression parses to the same gate', () => {
  fc.assert(
    fc.property(expression, people, facts, (e, all, known) => {
      const text = printApproval(e)
      let again: ApprovalExpression
      try {
        again = parseApproval(text)
      } catch (error) {
        // The generator makes what the grammar refuses: a group on both sides of an `and`.
        assert.match(String(error), /write one number for the sum/)
        return
      }
      assert.equal(printApproval(again), text)
      assert.equal(isSatisfied([again], all, known), isSatisfied([e], all, known))
    }),
    { numRuns: 1000 },
  )
})

test('a person of both groups counts for one of them', () => {
  const both = gate('1 of dba and 1 of security')

  assert.equal(isSatisfied(both, [by('ann', 'dba', 'security')], nobodyTied), false)
  assert.equal(isSatisfied(both, [by('ann', 'dba', 'security'), by('bob', 'dba')], nobodyTied), true)
  assert.equal(isSatisfied(both, [by('bob', 'dba'), by('ann', 'dba', 'security')], nobodyTied), true)
})

test('a person who approves twice counts once', () => {
  assert.equal(isSatisfied(gate('2 of dba'), [by('ann', 'dba'), by('ann', 'dba')], nobodyTied), false)
})

test('a person tied to the request does not count, whatever their teams', () => {
  const tied = { ...nobodyTied, excluded: new Set(['ann']) }

  assert.equal(isSatisfied(gate('dba'), [by('ann', 'dba')], tied), false)
})

test('owner(target) and the same team by name ask for two people', () => {
  const two = gate('owner(target) and payments')

  assert.equal(isSatisfied(two, [by('ann', 'payments')], nobodyTied), false)
  assert.equal(isSatisfied(two, [by('ann', 'payments'), by('bob', 'payments')], nobodyTied), true)
})

test('a group that two policies name is the larger number, not the sum', () => {
  const joined = [...gate('1 of dba'), ...gate('2 of dba')]

  assert.equal(isSatisfied(joined, [by('ann', 'dba'), by('bob', 'dba')], nobodyTied), true)
})

test('what is missing is said per way to open the gate, the shortest first', () => {
  const either = gate('3 of dba or 1 of owner(target) and 1 of security')

  assert.deepEqual(missingApprovals(either, [by('ann', 'security')], nobodyTied), [
    '1 more of owner(target), the team payments',
    '3 more of dba',
  ])
})

test('a gate with no possible approver stays shut and says who would have to exist', () => {
  const roster = [by('ann', 'payments'), by('bob', 'web')]
  const answer = isPossible(gate('owner(target)'), roster, { ...nobodyTied, excluded: new Set(['ann']) })

  assert.deepEqual(answer, {
    possible: false,
    reason:
      'Nobody can approve this; there would have to be 1 more of owner(target), the team payments. ' +
      'Tied to the request and not counted: ann.',
  })
})

test('an owner that does not exist never approves', () => {
  const answer = isPossible(gate('owner(subject)'), [by('ann', 'null', '')], nobodyTied)

  assert.equal(answer.possible, false)
  assert.match(answer.possible ? '' : answer.reason, /owner\(subject\), which no team is/)
})

test('a gate of too many alternatives stays shut', () => {
  const wide = Array.from({ length: 12 }, (_, at) => `(a${at} or b${at})`).join(' and ')
  const everybody = Array.from({ length: 12 }, (_, at) => by(`person-${at}`, `a${at}`))

  assert.equal(isSatisfied(gate(wide), everybody, nobodyTied), false)
})

const REFUSED: readonly (readonly [text: string, column: number, message: RegExp])[] = [
  ['', 1, /expected a team or "owner\(target\)" or "owner\(subject\)" or "on_call\(team\)", found the end/],
  ['2 dba', 3, /expected "of", found "dba"/],
  ['2 of', 5, /found the end/],
  ['0 of dba', 1, /a number from 1 to 20, found "0"/],
  ['21 of dba', 1, /a number from 1 to 20/],
  ['dba and', 8, /found the end/],
  ['dba security', 5, /expected "and" or "or" or the end, found "security"/],
  ['(dba or security', 17, /expected "\)" or "and" or "or", found the end/],
  ['dba)', 4, /expected "and" or "or" or the end/],
  ['owner(account)', 7, /expected "target" or "subject", found "account"/],
  ['owner', 6, /expected "\("/],
  ['on_call', 8, /expected "\("/],
  ['on_call(owner)', 9, /expected a team, found "owner"/],
  ['on_call(dba', 12, /expected "\)", found the end/],
  ['1 of on_call(dba) and 2 of on_call(dba)', 23, /another group/],
  ['auto', 5, /expected "when", found the end/],
  ['auto when', 10, /expected "ticket" or "risk < number", found the end/],
  ['auto when risk < 40', 1, /expected "and ticket"/],
  ['auto when risk', 15, /expected "<"/],
  ['auto when risk < 0 and ticket', 18, /a number from 1 to 100, found "0"/],
  ['auto when risk < 101 and ticket', 18, /a number from 1 to 100/],
  ['auto when risk < dba and ticket', 18, /a number from 1 to 100, found "dba"/],
  ['auto when ticket and ticket', 22, /expected "risk < number", found "ticket"/],
  ['auto when ticket and dba', 22, /expected "risk < number", found "dba"/],
  ['auto when risk < 40 and ticket and dba', 32, /expected "or" or the end, found "and"/],
  ['dba and auto when ticket', 9, /a group \("auto" stands alone, on one side of an "or"\)/],
  ['1 of auto', 6, /expected a team/],
  ['1 of dba and 2 of dba', 14, /another group/],
  ['(dba or web) and dba', 18, /another group/],
  ['1 of DBA', 6, /found "D"/],
  ['dba; drop', 4, /found ";"/],
  ['1 of and', 6, /expected a team/],
  [`${'('.repeat(40)}dba${')'.repeat(40)}`, 18, /nested brackets/],
  [`${'dba or '.repeat(100)}dba`, 513, /at most 512 characters/],
]

test('text that is no expression is refused with the column and what was expected', async (t) => {
  for (const [text, column, message] of REFUSED) {
    await t.test(JSON.stringify(text.slice(0, 40)), () => {
      assert.throws(() => parseApproval(text), { name: 'ApprovalSyntaxError', column, message })
    })
  }
})

test('any text either parses or is refused with a column inside it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-c ()ofandr]{0,40}$/)), (text) => {
      try {
        parseApproval(text)
      } catch (error) {
        assert.ok(error instanceof Error && error.name === 'ApprovalSyntaxError')
        assert.ok('column' in error && Number(error.column) >= 1 && Number(error.column) <= text.length + 1)
      }
    }),
    { numRuns: 2000 },
  )
})

test('who is on call counts for on_call, and nobody else of the team', () => {
  const onCall = gate('on_call(dba)')

  assert.equal(isSatisfied(onCall, [by('ann', 'dba')], nobodyTied), false)
  assert.equal(isSatisfied(onCall, [{ ...by('ann', 'dba'), onCall: ['dba'] }], nobodyTied), true)
  assert.equal(isSatisfied(onCall, [{ ...by('ann', 'web'), onCall: ['dba'] }], nobodyTied), false, 'left the team')
  assert.equal(isSatisfied(gate('on_call(dba) and dba'), [{ ...by('ann', 'dba'), onCall: ['dba'] }], nobodyTied), false)
  assert.match(missingApprovals(onCall, [by('ann', 'dba')], nobodyTied).join(), /1 more of on_call\(dba\), who is on/)
})

test('an auto opens by a verified ticket and a risk below its bound, and by nothing less', () => {
  const either = gate('1 of dba or auto when risk < 40 and ticket')
  const by40 = (risk: number, isTicketVerified: boolean) => ({ ...nobodyTied, auto: { risk, isTicketVerified } })

  assert.equal(isSatisfied(either, [], by40(39, true)), true)
  assert.equal(isSatisfied(either, [], by40(40, true)), false)
  assert.equal(isSatisfied(either, [], by40(0, false)), false)
  assert.equal(isSatisfied(either, [], nobodyTied), false, 'where nothing is known of either')
  assert.equal(isSatisfied([...either, ...gate('1 of security')], [], by40(0, true)), false, 'it waives no other gate')
  assert.deepEqual(missingApprovals(either, [], by40(67, false)), [
    '1 more of dba',
    'a risk below 40 (it is 67) and a ticket that was verified',
  ])
})

test('a higher risk or a ticket nobody verified never opens a gate', () => {
  fc.assert(
    fc.property(expression, people, facts, fc.nat(100), (e, all, known, more) => {
      const worse = { risk: known.auto.risk + more, isTicketVerified: false }
      if (isSatisfied([e], all, { ...known, auto: worse })) assert.ok(isSatisfied([e], all, known))
    }),
  )
})
