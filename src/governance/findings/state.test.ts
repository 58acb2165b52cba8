import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SEVERITIES, type Severity, type Verdict } from './rule.ts'
import { stepOf, type FindingState, type Kept } from './state.ts'

const at = (minute: number) => new Date(Date.UTC(2030, 0, 1, 0, minute))
const said = (severity: Severity, minute: number, fact = 'a fact'): Verdict => ({
  is: 'found',
  severity,
  evidence: [fact],
  uncertainty: [],
  readAt: at(minute),
})
const unknown: Verdict = { is: 'unknown', why: 'denied' }
const cleared = (minute: number): Verdict => ({ is: 'clear', readAt: at(minute) })

const kept = (state: FindingState, more: Partial<Kept> = {}): Kept => ({
  state,
  severity: 'high',
  foundAt: at(10),
  evidence: ['a fact'],
  uncertainty: [],
  acceptedBefore: state === 'accepted' ? at(60) : null,
  acceptedSeverity: state === 'accepted' ? 'high' : null,
  ...more,
})

test('only facts that were read later fix a finding', () => {
  assert.equal(stepOf(kept('open'), cleared(11), at(20))?.does, 'fix')
  assert.equal(stepOf(kept('accepted'), cleared(11), at(20))?.does, 'fix')
  assert.equal(stepOf(kept('open'), cleared(10), at(20)), undefined)
  assert.equal(stepOf(kept('open'), cleared(9), at(20)), undefined)
})

test('what is not known fixes nothing and opens nothing', () => {
  assert.equal(stepOf(undefined, unknown, at(20)), undefined)
  for (const state of ['open', 'accepted', 'fixed', 'reopened'] as const) {
    assert.equal(stepOf(kept(state), unknown, at(20)), undefined, state)
  }
})

test('an acceptance ends in time, whatever is known, and when it grows graver', () => {
  assert.deepEqual(stepOf(kept('accepted'), unknown, at(60)), { does: 'reopen', because: 'its acceptance ended' })
  assert.equal(stepOf(kept('accepted'), said('critical', 12), at(20))?.does, 'reopen')
  assert.equal(stepOf(kept('accepted'), said('low', 12), at(20))?.does, 'restate')
  assert.equal(stepOf(kept('accepted'), said('high', 12), at(20)), undefined)
})

const verdicts = fc.oneof(
  fc
    .record({ severity: fc.constantFrom(...SEVERITIES), minute: fc.nat(100), fact: fc.constantFrom('a', 'b') })
    .map(({ severity, minute, fact }) => said(severity, minute, fact)),
  fc.nat(100).map(cleared),
  fc.constant(unknown),
)

const LEGAL = new Set(['open fixed', 'reopened fixed', 'accepted fixed', 'accepted reopened', 'fixed reopened'])

test('property: in any order of verdicts, moves are legal, the same verdict twice is nothing new, and unknown never fixes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(verdicts, fc.boolean()), { maxLength: 30 }), fc.nat(100), (all, acceptedMinutes) => {
      let now: Kept | undefined
      for (const [at_, [verdict, accepts]] of all.entries()) {
        const before = now
        now = moved(before, verdict, at(at_))
        if (before && now && before.state !== now.state) assert.ok(LEGAL.has(`${before.state} ${now.state}`))
        if (verdict.is === 'unknown' && before?.state !== 'fixed') assert.notEqual(now?.state, 'fixed')
        if (now?.state === 'fixed' && before?.state !== 'fixed') {
          assert.ok(before && verdict.is === 'clear' && verdict.readAt > before.foundAt)
        }
        assert.equal(stepOf(now, verdict, at(at_)), undefined)
        if (accepts && now && (now.state === 'open' || now.state === 'reopened')) {
          const acceptedBefore = at(at_ + 1 + acceptedMinutes)
          now = { ...now, state: 'accepted', acceptedBefore, acceptedSeverity: now.severity }
        }
      }
    }),
  )
})

/** What the rows would be, by the step. */
function moved(before: Kept | undefined, verdict: Verdict, now: Date): Kept | undefined {
  const step = stepOf(before, verdict, now)
  if (!step) return before
  const stands = verdict.is === 'found' ? { ...verdict, foundAt: verdict.readAt } : {}
  const base = { ...(before ?? kept('open')), ...stands }
  if (step.does === 'restate') return base
  const states = { open: 'open', reopen: 'reopened', fix: 'fixed' } as const
  return { ...base, state: states[step.does], acceptedBefore: null, acceptedSeverity: null }
}
