import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assessRisk, type PastUse, type RiskFacts } from './factors.ts'
import { FACTOR_NAMES, riskModelFrom, SHIPPED_RISK_MODEL, type RiskModel } from './model.ts'
import type { SignalInForce } from './reported.ts'
import { bandOf, explainRisk, riskContext, riskOf, type RiskFactor } from './score.ts'

const NOW = new Date('2026-03-04T10:00:00Z')
const daysAgo = (days: number) => new Date(NOW.getTime() - days * 86_400_000)

/** An established person at their usual desk, who reads a target of the lowest tier. */
const CALM: RiskFacts = {
  now: NOW,
  target: { name: 'orders', environment: 'production' },
  tier: 3,
  actions: [{ name: 'postgres.read', tier: 3 }],
  subject: { name: 'alice', kind: 'human', environment: 'production', ownerState: 'none' },
  proof: 'mtls',
  credentialSince: NOW,
  history: Array.from({ length: 20 }, (): PastUse => ({ at: NOW, place: '10.0.0.7', isOver: true })),
  place: '10.0.0.7',
  window: undefined,
  isFrozen: false,
  delegations: 0,
  findings: { names: [], source: 'standard 1', ageSeconds: 0 },
  signals: [],
}

const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const reported = (more: Partial<SignalInForce> = {}): SignalInForce => ({
  type: 'credential-compromise',
  severity: 'high',
  sender: 'edr',
  about: 'alice',
  receivedAt: NOW,
  expiresAt: later(86_400),
  ...more,
})

const scoreOf = (facts: Partial<RiskFacts>, model: RiskModel = SHIPPED_RISK_MODEL) =>
  assessRisk(model, { ...CALM, ...facts })
const factorOf = (facts: Partial<RiskFacts>, name: string) =>
  scoreOf(facts).factors.find((factor) => factor.name === name)

const share = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000)
const known = fc.record({ weight: share, value: share })
const weighed = fc.record({ weight: share, value: fc.option(share, { nil: null }) })
const many = fc.array(weighed, { maxLength: 14 })

test('the band stays between 0 and 100, with the low end at most the high one', () => {
  fc.assert(
    fc.property(many, (factors) => {
      const { low, high } = bandOf(factors)
      assert.ok(Number.isInteger(low) && Number.isInteger(high))
      assert.ok(low >= 0 && low <= high && high <= 100)
    }),
  )
})

test('the score is 100·(1 − Π(1 − w·f)), rounded outwards', () => {
  fc.assert(
    fc.property(fc.array(known, { maxLength: 14 }), (factors) => {
      const exact = 100 * (1 - factors.reduce((product, { weight, value }) => product * (1 - weight * value), 1))
      const { low, high } = bandOf(factors)
      assert.ok(low <= exact + 1e-9 && exact - 1e-9 <= high && high - low <= 1)
    }),
  )
  assert.deepEqual(bandOf([]), { low: 0, high: 0 })
  assert.deepEqual(bandOf([{ weight: 0.4, value: 1 }]), { low: 40, high: 40 })
  const two = { weight: 0.5, value: 1 }
  assert.deepEqual(bandOf([two, two]), { low: 75, high: 75 })
})

test('a factor that grows never lowers either end, and one more factor lowers neither', () => {
  fc.assert(
    fc.property(many, known, share, (others, factor, more) => {
      const bigger = { weight: factor.weight, value: Math.max(factor.value, more) }
      const [none, small, big] = [bandOf(others), bandOf([...others, factor]), bandOf([...others, bigger])]
      assert.ok(none.low <= small.low && small.low <= big.low)
      assert.ok(none.high <= small.high && small.high <= big.high)
    }),
  )
})

test('the order of factors changes nothing, to the last digit', () => {
  const shuffled = many.chain((factors) =>
    fc.tuple(fc.constant(factors), fc.shuffledSubarray(factors, { minLength: factors.length })),
  )
  fc.assert(fc.property(shuffled, ([one, other]) => assert.deepEqual(bandOf(one), bandOf(other))))
})

test('a fact that becomes unknown never lowers the high end, never raises the low one, so never narrows the band', () => {
  fc.assert(
    fc.property(many, known, (others, factor) => {
      const before = bandOf([...others, factor])
      const after = bandOf([...others, { ...factor, value: null }])
      assert.ok(after.high >= before.high)
      assert.ok(after.low <= before.low)
    }),
  )
})

test('a share that is no number, or out of range, is never a way to a lower score', () => {
  assert.deepEqual(bandOf([{ weight: 0.5, value: Number.NaN }]), { low: 50, high: 50 })
  assert.deepEqual(bandOf([{ weight: 0.5, value: 9 }]), { low: 50, high: 50 })
  assert.deepEqual(bandOf([{ weight: 0.5, value: Number.NEGATIVE_INFINITY }]), { low: 0, high: 0 })
  assert.deepEqual(bandOf([{ weight: Number.NaN, value: 1 }]), { low: 100, high: 100 })
})

test('each fact that gets worse raises the score and says so in words with its source', () => {
  const worse: Record<string, Partial<RiskFacts>> = {
    'target-tier': { tier: 0 },
    'action-tier': { actions: [...CALM.actions, { name: 'postgres.privilege', tier: 0 }] },
    environment: { subject: { ...CALM.subject, environment: 'test' } },
    ownership: { subject: { ...CALM.subject, kind: 'workload', ownerState: 'lost' } },
    binding: { proof: 'token' },
    'credential-age': { credentialSince: daysAgo(90) },
    dormancy: { history: [{ at: daysAgo(90), place: '10.0.0.7', isOver: true }] },
    time: { now: new Date('2026-03-04T22:00:00Z') },
    network: { place: '203.0.113.9' },
    delegation: { delegations: 2 },
    freeze: { isFrozen: true },
    findings: { findings: { names: ['a', 'b', 'c'], source: 'standard 1', ageSeconds: 0 } },
    signals: { signals: [reported({ severity: 'critical' })] },
  }
  assert.deepEqual(Object.keys(worse).sort(), [...FACTOR_NAMES].sort())
  const calm = scoreOf({})
  assert.deepEqual([calm.low, calm.high], [0, 0])
  for (const [name, facts] of Object.entries(worse)) {
    const risk = scoreOf(facts)
    const factor = risk.factors.find((each) => each.name === name)
    assert.equal(factor?.value, 1, name)
    assert.ok(risk.score > calm.score, name)
    assert.ok(riskContext(risk).factors.includes(factor?.name ?? 'target-tier'), name)
    assert.ok(
      explainRisk(risk).some((line) => line.startsWith(`${name}: ${factor?.fact}`)),
      name,
    )
  }
})

test('what is not known counts in full at the high end, and says what is not known', () => {
  const risk = scoreOf({ credentialSince: null, history: null, place: null, findings: null, proof: 'a new kind' })

  const unknown = risk.factors.filter(({ value }) => value === null).map(({ name }) => name)
  assert.deepEqual(unknown.toSorted(), ['binding', 'credential-age', 'dormancy', 'findings', 'network', 'time'])
  assert.equal(risk.low, 0)
  assert.equal(risk.score, risk.high)
  assert.ok(risk.high > 40)
  assert.deepEqual(riskContext(risk).factors.toSorted(), unknown.toSorted())
  assert.match(explainRisk(risk).join('\n'), /^The risk is \d+ of 100, counting what is not known in full; 0 without/)
  assert.match(
    explainRisk(risk).join('\n'),
    /findings: not known, so it counts in full \(15\): alice was not looked at/,
  )
})

test('a session under way does not vouch for its own address, and a few uses are no habit', () => {
  const own = [{ at: NOW, place: '203.0.113.9', isOver: false }]

  assert.equal(factorOf({ place: '203.0.113.9', history: own }, 'network')?.value, null)
  assert.equal(factorOf({ place: '203.0.113.9', history: [...own, ...(CALM.history ?? [])] }, 'network')?.value, 1)
  assert.equal(factorOf({ history: own }, 'time')?.value, null)
})

test('the habit of an hour reaches over midnight, and an open window is a time that was planned', () => {
  const at = new Date('2026-03-03T23:30:00Z')
  const history = Array.from({ length: 12 }, () => ({ at, place: '10.0.0.7', isOver: true }))
  const night = new Date('2026-03-04T00:30:00Z')

  assert.equal(factorOf({ history, now: night }, 'time')?.value, 0)
  assert.equal(factorOf({ history, now: NOW }, 'time')?.value, 1)
  assert.equal(factorOf({ history, now: NOW, window: { id: 'nightly', open: true } }, 'time')?.value, 0)
  assert.equal(factorOf({ history, now: NOW, window: { id: 'nightly', open: false } }, 'time')?.value, 1)
})

test('an observation says how old it is; what lies ahead of our clock was just now', () => {
  const history = [{ at: daysAgo(2), place: '10.0.0.7', isOver: true }]
  assert.equal(factorOf({ history }, 'dormancy')?.ageSeconds, 2 * 86_400)
  assert.equal(factorOf({ history }, 'network')?.ageSeconds, 2 * 86_400)
  assert.equal(factorOf({ history: [{ ...history[0]!, at: daysAgo(-1) }] }, 'dormancy')?.ageSeconds, 0)
  assert.equal(factorOf({}, 'target-tier')?.ageSeconds, 0)
  assert.equal(factorOf({ findings: null }, 'findings')?.ageSeconds, null)
})

test('into production is the worst crossing of environments', () => {
  const crossing = (of: string, into: string) =>
    factorOf(
      { subject: { ...CALM.subject, environment: of }, target: { name: 'orders', environment: into } },
      'environment',
    )?.value
  assert.deepEqual(
    [crossing('test', 'production'), crossing('production', 'test'), crossing('test', 'test')],
    [1, 0.5, 0],
  )
})

test('the shipped weights keep the two promises that the default policies and the docs lean on', () => {
  const established: Partial<RiskFacts> = { place: null, findings: null }
  const fresh: Partial<RiskFacts> = { ...established, proof: 'token', history: [] }
  const tiers = (tier: number): Partial<RiskFacts> => ({ tier, actions: [{ name: 'an.action', tier }] })

  assert.ok(scoreOf({ ...established, ...tiers(2) }).score < 40)
  assert.ok(scoreOf({ ...established, ...tiers(0) }).score < 75)
  assert.ok(scoreOf({ ...fresh, ...tiers(0) }).score >= 75)
  assert.ok(scoreOf({ ...fresh, ...tiers(1) }).score < 75)
})

test('weights are a version: the same ones have one hash, and a change has another', () => {
  const { sha256, ...file } = SHIPPED_RISK_MODEL
  assert.equal(riskModelFrom(file).sha256, sha256)
  assert.notEqual(riskModelFrom({ ...file, weights: { ...file.weights, freeze: 0.301 } }).sha256, sha256)
  assert.notEqual(riskModelFrom({ ...file, limits: { ...file.limits, dormantDays: 91 } }).sha256, sha256)
  assert.equal(scoreOf({}).model.sha256, sha256)
})

test('a model with a weight out of range, missing, too fine, or of no factor is refused by its place', () => {
  const { sha256: _hash, ...file } = SHIPPED_RISK_MODEL
  const { freeze: _freeze, ...fewer } = file.weights
  for (const [weights, place] of [
    [{ ...file.weights, freeze: 1.1 }, 'weights.freeze'],
    [{ ...file.weights, freeze: -0.1 }, 'weights.freeze'],
    [{ ...file.weights, freeze: 0.0001 }, 'weights.freeze'],
    [{ ...file.weights, freze: 0.1 }, 'freze'],
    [fewer, 'weights.freeze'],
  ] as const) {
    assert.throws(() => riskModelFrom({ ...file, weights }), new RegExp(place))
  }
  assert.throws(() => riskModelFrom('nothing'), /risk model is not valid/)
})

test('the factors are listed by what they can add, so the first lines of an explanation matter most', () => {
  const factors: RiskFactor[] = [
    { name: 'time', weight: 0.1, value: 1, fact: 'late', source: 'uses', ageSeconds: 7200 },
    { name: 'freeze', weight: 0.5, value: null, fact: 'no calendar', source: 'calendar', ageSeconds: null },
    { name: 'network', weight: 0.5, value: 0, fact: 'at home', source: 'uses', ageSeconds: 0 },
  ]
  assert.deepEqual(explainRisk(riskOf(SHIPPED_RISK_MODEL, factors)), [
    'The risk is 55 of 100, counting what is not known in full; 10 without that.',
    'freeze: not known, so it counts in full (50): no calendar.',
    'time: late (10; uses, 2 h ago).',
  ])
})

test('a signal fades over its time and is gone when that is over', () => {
  const valueAt = (now: Date) => factorOf({ now, signals: [reported({ severity: 'critical' })] }, 'signals')?.value
  assert.deepEqual(
    [valueAt(NOW), valueAt(later(43_200)), valueAt(later(86_400)), valueAt(later(99_999))],
    [1, 0.5, 0, 0],
  )
  fc.assert(
    fc.property(fc.nat(90_000), fc.nat(90_000), (a, b) => {
      assert.ok((valueAt(later(Math.min(a, b))) ?? 0) >= (valueAt(later(Math.max(a, b))) ?? 0))
    }),
  )
})

test('attack: one sender who repeats itself raises the score no further, and another sender does', () => {
  const one = scoreOf({ signals: [reported()] }).score
  const many = scoreOf({ signals: Array.from({ length: 50 }, () => reported()) }).score
  const two = scoreOf({ signals: [reported(), reported({ sender: 'siem' })] }).score
  assert.ok(one === many && many < two, `${one} ${many} ${two}`)
})

test('a signal that rises in severity never lowers the score', () => {
  const scores = (['low', 'medium', 'high', 'critical'] as const).map(
    (severity) => scoreOf({ signals: [reported({ severity })] }).score,
  )
  assert.deepEqual(
    scores,
    scores.toSorted((a, b) => a - b),
  )
  assert.equal(new Set(scores).size, 4)
})

test('a file of weights that was written before there were signals is one still', () => {
  const { sha256: _sha256, signals: _ends, weights, ...rest } = SHIPPED_RISK_MODEL
  const { signals: _weight, ...older } = weights
  const model = riskModelFrom({ ...rest, weights: older })
  assert.equal(model.sha256, SHIPPED_RISK_MODEL.sha256)
})
