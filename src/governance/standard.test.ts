import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { Profile, Trait, type Identity } from '../identities/contract.ts'
import { assessAgainst, type LiveCredential } from './assess.ts'
import { CONTROLS } from './contract.ts'
import { readStandard, rulesFor, standardFrom } from './standard.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const shipped = await readStandard(join(import.meta.dirname, '..', '..', 'policies', 'standard.json'))
const { sha256: _hash, ...file } = shipped
const ID = '0190a000-0000-7000-8000-000000000001'

const service: Identity = {
  id: ID,
  kind: 'workload',
  name: 'invoices',
  displayName: null,
  profile: 'service',
  purpose: 'sends the invoices',
  businessService: 'billing',
  environment: 'production',
  tierSet: 2,
  tierReached: null,
  tier: 1,
  traits: [],
  ownerTeam: 'payments',
  ownerId: ID,
  ownerState: 'attested',
  ownerEvidence: null,
  ownerProposedBy: null,
  sponsorId: null,
  vendor: null,
  state: 'active',
  isFounder: false,
  reviewBy: new Date('2030-06-01T00:00:00Z'),
  expiresAt: null,
  createdAt: NOW,
  version: 1,
}
const token = (type: LiveCredential['type'], days: number): LiveCredential => ({
  type,
  createdAt: new Date(NOW.getTime() - days * 86_400_000),
})
const held = (identity: Identity, credentials: LiveCredential[] = []) =>
  assessAgainst(shipped, { identity, credentials, now: NOW })
const unmet = (assessed: ReturnType<typeof held>) =>
  assessed.controls.filter(({ status }) => status !== 'met').map(({ control }) => control)

test('an identity that has what is asked of it meets every control, and its path is named', () => {
  const assessed = held(service, [token('bound-token', 20)])

  assert.deepEqual([unmet(assessed), assessed.score, assessed.isOnPath], [[], 100, true])
  assert.equal(assessed.path, 'attested-and-policy-gated')
  assert.equal(assessed.standard.sha256, shipped.sha256)
})

test('the same lacks are asked for by profile, tier, credential and trait', () => {
  const bare = [token('token', 40)]

  assert.deepEqual(unmet(held(service, bare)), ['credential-bound', 'credential-young'])
  assert.deepEqual(unmet(held({ ...service, tier: 2 }, bare)), [], 'tier 2 may hold a bearer token for 90 days')
  assert.deepEqual(unmet(held({ ...service, tier: 2, traits: ['exposed'] }, bare)), [
    'credential-bound',
    'credential-young',
  ])
  assert.deepEqual(unmet(held({ ...service, tier: 2, profile: 'integration' }, bare)), [
    'credential-bound',
    'expiry-set',
  ])
  assert.deepEqual(unmet(held({ ...service, tier: 3, traits: ['autonomous'] })), ['expiry-set', 'sponsor-named'])
  assert.deepEqual(unmet(held({ ...service, ownerState: 'suggested', reviewBy: NOW })), [
    'owner-attested',
    'review-dated',
  ])
})

test('three profiles have three paths, and a kind on the path of another is told so', () => {
  const person: Identity = { ...service, kind: 'human', profile: 'person', tier: 3 }
  const agent: Identity = { ...service, kind: 'agent', profile: 'agent', sponsorId: ID }

  assert.deepEqual(
    [held(person), held(service), held(agent)].map(({ path, isOnPath }) => [path, isOnPath]),
    [
      ['approved-and-stepped-up', true],
      ['attested-and-policy-gated', true],
      ['decided-call-by-call', true],
    ],
  )
  for (const [kind, profile] of [
    ['human', 'service'],
    ['workload', 'person'],
    ['machine', 'agent'],
    ['agent', 'pipeline'],
    ['workload', 'break-glass'],
  ] as const) {
    const assessed = held({ ...service, kind, profile })
    assert.equal(assessed.isOnPath, false)
    assert.ok(unmet(assessed).includes('own-path'))
    assert.ok(assessed.score < 100)
  }
})

test('a control nobody can observe is not met, and says how far the score could reach', () => {
  const person: Identity = { ...service, kind: 'human', profile: 'person', tier: 0 }

  const assessed = held(person)

  assert.equal(assessed.controls.find(({ control }) => control === 'step-up')?.status, 'unknown')
  assert.ok(assessed.score < assessed.scoreAtMost)
  assert.equal(assessed.scoreAtMost, 100)
})

const anyone = fc.record({
  profile: fc.constantFrom(...Profile.options),
  tier: fc.integer({ min: 0, max: 3 }),
  credentials: fc.subarray(['token', 'bound-token'] as const),
  traits: fc.subarray([...Trait.options]),
})

test('one more trait or credential never asks for less, whatever the class', () => {
  fc.assert(
    fc.property(anyone, anyone, (one, more) => {
      const both = {
        ...one,
        traits: [...new Set([...one.traits, ...more.traits])],
        credentials: [...new Set([...one.credentials, ...more.credentials])],
      }
      const owed = (about: typeof one) => new Set(rulesFor(shipped, about).flatMap(({ requires }) => requires))
      assert.ok(owed(one).isSubsetOf(owed(both)))
    }),
  )
})

test('every class owes something, and its score is a share of what it owes', () => {
  const kinds = fc.constantFrom('human', 'machine', 'workload', 'agent')
  fc.assert(
    fc.property(anyone, kinds, fc.nat(200), (about, kind, days) => {
      const credentials = about.credentials.map((type) => token(type, days))
      const { controls, score, scoreAtMost } = assessAgainst(shipped, {
        identity: { ...service, ...about, kind },
        credentials,
        now: NOW,
      })
      assert.ok(controls.length > 1)
      const met = controls.filter(({ status }) => status === 'met').length
      assert.equal(score, Math.floor((100 * met) / controls.length))
      assert.ok(score <= scoreAtMost && scoreAtMost <= 100)
    }),
  )
})

test('every control that is known is asked for by some rule of the shipped standard', () => {
  const asked = new Set(shipped.rules.flatMap(({ requires }) => requires))
  assert.deepEqual(
    CONTROLS.filter((control) => control !== 'own-path' && !asked.has(control)),
    [],
  )
})

test('a standard is a version: the order of its rules means nothing, a change of one does', () => {
  assert.equal(standardFrom({ ...file, rules: file.rules.toReversed() }).sha256, shipped.sha256)
  const [first, ...rest] = file.rules
  assert.notEqual(
    standardFrom({ ...file, rules: [{ ...first, requires: ['owner-team', 'expiry-set'] }, ...rest] }).sha256,
    shipped.sha256,
  )
})

test('a standard with an unknown control, a rule twice, a missing path, or a class of which nothing is asked is refused', () => {
  const [first, ...rest] = file.rules
  const { agent: _agent, ...paths } = file.paths
  for (const [broken, place] of [
    [{ ...file, rules: [{ ...first, requires: ['mfa'] }, ...rest] }, /rules\.0\.requires/],
    [{ ...file, rules: [...file.rules, first] }, /everything-is-placed stands there twice/],
    [{ ...file, paths }, /paths/],
    [{ ...file, rules: [{ ...first, when: { tiers: [1] } }] }, /nothing is asked of person at tier 0/],
    [{ ...file, rules: [{ ...first, when: { tier: [1] } }] }, /rules\.0\.when/],
    ['{}', /top/],
  ] as const) {
    assert.throws(() => standardFrom(broken), place)
  }
})
