import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readAnnotations } from './annotations.ts'
import { parseApproval } from './approval-grammar.ts'
import { readHold, type Hold } from './hold.ts'
import {
  joinObligations,
  noEvidence,
  noObligations,
  outstanding,
  RECORDINGS,
  STEP_UPS,
  withinLimits,
  type Evidence,
  type Obligations,
} from './obligations.ts'
import { faultInPattern, matchesTicket } from './ticket-pattern.ts'

const gates = ['1 of dba', '2 of dba', '1 of security', '1 of dba or 1 of security', 'dba and security'].map(
  parseApproval,
)
const holds = ['destructive', 'destructive by 1 of dba'].map(holdOf)
const bound = fc.option(fc.integer({ min: 1, max: 1000 }))
// Joining one gives the normal form: gates and tickets in order.
const obligations: fc.Arbitrary<Obligations> = fc
  .record({
    approval: fc.subarray(gates),
    ttlSeconds: bound,
    uses: bound,
    stepUp: fc.constantFrom(...STEP_UPS),
    recording: fc.constantFrom(...RECORDINGS),
    reasonRequired: fc.boolean(),
    tickets: fc.subarray(['OPS-[0-9]+', 'OPS-1', '[A-Z]+-[0-9]+']),
    hold: fc.subarray(holds),
  })
  .map((one) => joinObligations([one]))
const evidence: fc.Arbitrary<Evidence> = fc.record({
  approvals: fc
    .array(fc.subarray(['dba', 'security']), { maxLength: 4 })
    .map((all) => all.map((teams, at) => ({ approver: `person-${at}`, teams }))),
  approvalFacts: fc.constant(noEvidence.approvalFacts),
  stepUp: fc.constantFrom(...STEP_UPS),
  recording: fc.constantFrom(...RECORDINGS),
  reasonGiven: fc.boolean(),
  ticket: fc.constantFrom(null, 'OPS-1', 'OPS-2', 'WEB-1'),
  holds: fc.subarray(['destructive' as const]),
})

function holdOf(text: string): Hold {
  const hold = readHold(text)
  return typeof hold === 'string' ? assert.fail(hold) : hold
}

test('adding a permit never weakens a request that was already permitted', () => {
  let met = 0
  fc.assert(
    fc.property(
      obligations,
      obligations,
      evidence,
      fc.integer({ min: 1, max: 2000 }),
      (before, added, shown, asked) => {
        const after = joinObligations([before, added])
        if (outstanding(after, shown).length === 0) {
          met += 1
          assert.deepEqual(outstanding(before, shown), [])
        }
        const limits = { ttlSeconds: asked, uses: null }
        const then = withinLimits(before, limits)
        const now = withinLimits(after, limits)
        assert.ok(now.ttlSeconds <= then.ttlSeconds)
        assert.ok((now.uses ?? Infinity) <= (then.uses ?? Infinity))
      },
    ),
    { numRuns: 20_000 },
  )
  assert.ok(met > 20, `evidence that meets the joined obligations was examined: ${met}`)
})

test('joining is commutative, associative and idempotent, and asking for nothing is neutral', () => {
  fc.assert(
    fc.property(obligations, obligations, obligations, (a, b, c) => {
      assert.deepEqual(joinObligations([a, b]), joinObligations([b, a]))
      assert.deepEqual(joinObligations([joinObligations([a, b]), c]), joinObligations([a, joinObligations([b, c])]))
      assert.deepEqual(joinObligations([a, a]), a)
      assert.deepEqual(joinObligations([a, noObligations]), a)
      assert.deepEqual(joinObligations([]), noObligations)
    }),
  )
})

test('each obligation that is owed is said in a sentence', () => {
  const all: Obligations = {
    approval: [parseApproval('2 of dba')],
    ttlSeconds: 60,
    uses: 1,
    stepUp: 'mfa',
    recording: 'full',
    reasonRequired: true,
    tickets: ['OPS-[0-9]+'],
    hold: [holdOf('destructive')],
  }

  assert.deepEqual(outstanding(all, { ...noEvidence, recording: 'meta', ticket: 'OPS-x' }), [
    'Approval is needed: 2 more of dba.',
    'A fresh mfa proof of the person is needed.',
    'It must be recorded (full).',
    'A reason is needed.',
    'A ticket that matches OPS-[0-9]+ is needed.',
    'Something that holds destructive operations for a person is needed.',
  ])
})

test('annotations are read into obligations', () => {
  const { annotations, faults } = readAnnotations(
    {
      id: 'x',
      why: 'because',
      approval: 'dba',
      ttl: '90m',
      uses: '3',
      step_up: '',
      record: 'full',
      reason: '',
      ticket: 'A-1',
      hold: 'destructive by dba',
    },
    'permit',
  )

  assert.deepEqual(faults, [])
  assert.deepEqual(annotations.obligations, {
    approval: [parseApproval('1 of dba')],
    ttlSeconds: 5400,
    uses: 3,
    stepUp: 'mfa',
    recording: 'full',
    reasonRequired: true,
    tickets: ['A-1'],
    hold: [holdOf('destructive by 1 of dba')],
  })
})

const REFUSED: readonly (readonly [
  annotations: Record<string, string>,
  effect: 'permit' | 'forbid',
  message: RegExp,
])[] = [
  [{ aproval: '2 of dba' }, 'permit', /unknown annotation; known are "id", "why", "approval"/],
  [{ constructor: '' }, 'permit', /unknown annotation/],
  [{ approval: '' }, 'permit', /column 1: expected/],
  [{ hold: 'destroying' }, 'permit', /expected destructive or any, and who releases it/],
  [{ hold: 'destructive by' }, 'permit', /expected destructive/],
  [{ hold: 'destructive by dba and' }, 'permit', /column \d+: expected/],
  [{ hold: 'destructive by auto when ticket' }, 'permit', /expected people to release it/],
  [{ ttl: '1 hour' }, 'permit', /expected a time/],
  [{ ttl: '0s' }, 'permit', /expected a time/],
  [{ ttl: '9999d' }, 'permit', /at most a year/],
  [{ uses: '0' }, 'permit', /expected a number/],
  [{ uses: '1.5' }, 'permit', /expected a number/],
  [{ step_up: 'sms' }, 'permit', /"phishing-resistant"/],
  [{ record: '' }, 'permit', /"none", "meta", "full"/],
  [{ reason: 'no' }, 'permit', /expected no value/],
  [{ ticket: '(a+)+' }, 'permit', /not part of a ticket pattern/],
  [{ reason: '' }, 'forbid', /a forbid carries no obligation/],
  [{ id: 'a b' }, 'permit', /expected letters/],
  [{ why: '' }, 'permit', /expected a sentence/],
]

test('an annotation that would be misread is refused', async (t) => {
  for (const [annotations, effect, message] of REFUSED) {
    await t.test(JSON.stringify(annotations), () => {
      const { faults } = readAnnotations(annotations, effect)
      assert.equal(faults.length, 1)
      assert.match(faults[0]?.message ?? '', message)
    })
  }
})

test('a ticket matches a pattern as a whole', () => {
  assert.equal(matchesTicket('OPS-[0-9]+', 'OPS-12'), true)
  assert.equal(matchesTicket('OPS-[0-9]+', 'OPS-12; drop'), false)
  assert.equal(matchesTicket('OPS-[0-9]+', 'x OPS-12'), false)
  assert.equal(matchesTicket('OPS-[0-9]+', 'OPS-12\n'), false)
  assert.equal(matchesTicket('A-\\d{2}|B-.', 'B-x'), true)
  assert.equal(matchesTicket('A-1|B-2', 'A-1B-2'), false)
  assert.equal(matchesTicket('[0-9]+', '1'.repeat(65)), false)
})

test('a pattern that could make matching slow is refused', () => {
  for (const pattern of ['(a+)+', '(?=a)', 'a*a*a*a*', 'a++', '\\1', '[z-a]', '', 'a'.repeat(65), '[^]']) {
    assert.notEqual(faultInPattern(pattern), null, pattern)
  }
})
