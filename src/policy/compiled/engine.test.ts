import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { choicesFrom, pick, seldom, type Choices } from '../../../test/support/cedar/choices.ts'
import { linkTo, type Entity, type PolicyValue } from '../entity.ts'
import { openCedarEngine, type Engine, type Evaluation, type EvaluationRequest } from '../evaluate.ts'
import { buildPolicySet, loadPolicySet, type PolicySet } from '../policy-set.ts'
import { buildSchema } from '../schema.ts'
import { openCompiledEngine } from './engine.ts'

const FOLDER = join(import.meta.dirname, '../../../policies')
const base = readFileSync(join(FOLDER, 'schema.cedarschema'), 'utf8')
const READ = { name: 'postgres.read', groups: ['privileged.read'], resources: ['Account', 'Target'] }

function setOf(policies: string): PolicySet {
  return buildPolicySet([{ name: 'test.cedar', text: policies }], buildSchema(base, [READ]))
}

const ann: Entity = {
  type: 'Person',
  id: 'ann',
  attributes: {
    id: 'ann',
    name: 'ann',
    profile: 'person',
    tier: 1,
    state: 'active',
    ownerState: 'attested',
    proof: 'passkey',
    isFounder: false,
  },
  parents: [{ type: 'Team', id: 'dba' }],
}

const orders: Entity = {
  type: 'Target',
  id: 'orders',
  attributes: {
    id: 'orders',
    name: 'orders',
    kind: 'postgres',
    environment: 'production',
    sensitivity: 'high',
    tier: 0,
    ownerTeam: linkTo('Team', 'payments'),
  },
}

const context = {
  now: new Date('2026-02-03T10:00:00Z'),
  channel: 'gateway',
  requestKind: 'ordinary',
  freeze: false,
  bootstrap: false,
  reasonGiven: false,
}

const question: EvaluationRequest = {
  principal: { type: 'Person', id: 'ann' },
  action: 'postgres.read',
  resource: { type: 'Target', id: 'orders' },
  context,
  entities: [ann, orders],
}

/** What two evaluations must share: everything but the words. */
function print({ decision, determining, errors }: Evaluation): unknown {
  return {
    decision,
    determining: determining.map(({ id }) => id).sort(),
    errors: errors.map(({ policy }) => String(policy)).sort(),
  }
}

test('teams, links, instants and times of day are told as the reference engine tells them', async () => {
  const set = setOf(`
    @id("team") permit (principal in Reeve::Team::"dba", action, resource);
    @id("owner") permit (principal, action, resource is Reeve::Target) when { resource has ownerTeam && resource.ownerTeam == Reeve::Team::"payments" };
    @id("morning") permit (principal, action, resource) when { context.now.toTime() < duration("12h") };
    @id("late") forbid (principal, action, resource) when { context.now > datetime("2026-03-01") };
    @id("overflow") permit (principal, action, resource is Reeve::Target) when { 9223372036854775807 + resource.tier > principal.tier };`)
  using reference = openCedarEngine(set)
  using engine = await openCompiledEngine(set)

  assert.deepEqual(print(engine.evaluate(question)), {
    decision: true,
    determining: ['morning', 'overflow', 'owner', 'team'],
    errors: [],
  })
  assert.deepEqual(print(engine.evaluate(question)), print(reference.evaluate(question)))
  assert.equal(engine.fallbacks(), 0)
})

test('an erring policy is skipped and named, and the policies are named in their order', async () => {
  const set = setOf(`
    @id("z") permit (principal, action, resource);
    @id("a") permit (principal, action, resource) when { principal.tier * 9223372036854775807 + 1 > 0 };
    @id("b") permit (principal is Reeve::Person, action, resource);`)
  using engine = await openCompiledEngine(set)

  const evaluation = engine.evaluate(question)

  assert.deepEqual(
    evaluation.determining.map(({ id }) => id),
    ['z', 'b'],
  )
  assert.deepEqual(evaluation.errors, [{ policy: 'a', message: 'the result of + is out of range' }])
})

test('what does not fit the schema is denied with an error and never throws', async () => {
  using engine = await openCompiledEngine(setOf('permit (principal, action, resource);'))
  const wrong: Readonly<Record<string, Partial<EvaluationRequest>>> = {
    'an unknown action': { action: 'nothing' },
    'a principal of the wrong type': { principal: { type: 'Target', id: 'orders' } },
    'a type with another namespace': { principal: { type: 'Other::Person', id: 'ann' } },
    'a missing attribute of the context': { context: { now: context.now } },
    'an attribute nobody declared': { context: { ...context, admin: true } },
    'a reserved name': { context: { ...context, __entity: { type: 'Reeve::Team', id: 'dba' } } },
    'half a character': { context: { ...context, channel: '\ud800' } },
    'a number that is not whole': { entities: [{ ...ann, attributes: { ...ann.attributes, tier: 1.5 } }, orders] },
    'an entity twice, in two ways': { entities: [ann, { ...ann, parents: [] }, orders] },
    'a group within itself': {
      entities: [ann, orders, { type: 'Team', id: 'dba', attributes: {}, parents: [{ type: 'Team', id: 'dba' }] }],
    },
  }

  for (const [what, changed] of Object.entries(wrong)) {
    const { decision, determining, errors } = engine.evaluate({ ...question, ...changed })
    assert.deepEqual([decision, determining.length, errors[0]?.policy], [false, 0, null], what)
  }
  assert.equal(engine.fallbacks(), 0)
})

test('what is not understood is put to the reference engine and counted', async () => {
  const set = setOf('permit (principal, action, resource is Reeve::Target) when { resource has ownerTeam };')
  using reference = openCedarEngine(set)
  using engine = await openCompiledEngine(set)
  // The reference takes a list of two texts for an entity.
  const odd = { ...orders, attributes: { ...orders.attributes, ownerTeam: ['Reeve::Team', 'payments'] } }
  const asked = { ...question, entities: [ann, odd] }

  assert.deepEqual(print(engine.evaluate(asked)), print(reference.evaluate(asked)))
  assert.equal(engine.fallbacks(), 1)
})

test('entities that are prepared once answer as those that are given each time', async () => {
  using engine = await openCompiledEngine(setOf('permit (principal in Reeve::Team::"dba", action, resource);'))
  const prepared = engine.prepare(question.entities)

  assert.deepEqual(engine.evaluateIn(prepared, question), engine.evaluate(question))
  assert.equal(engine.evaluateIn(prepared, question).decision, true)
  assert.equal(engine.evaluateIn(engine.prepare([orders]), question).decision, false)
})

test('entities that were prepared under another schema decide nothing', async () => {
  const permit = 'permit (principal, action, resource);'
  const set = setOf(permit)
  using before = await openCompiledEngine(set)
  using now = await openCompiledEngine(setOf(permit))
  using later = await openCompiledEngine({ ...set })
  const prepared = before.prepare(question.entities)

  assert.equal(now.evaluateIn(prepared, question).decision, false)
  assert.equal(later.evaluateIn(prepared, question).decision, true, 'the schema is the same, so they are what it says')
})

test('a version that was put away permits nothing', async () => {
  const engine = await openCompiledEngine(setOf('permit (principal, action, resource);'))
  assert.equal(engine.evaluate(question).decision, true)
  engine[Symbol.dispose]()

  assert.deepEqual(print(engine.evaluate(question)), { decision: false, determining: [], errors: ['null'] })
})

/** Values that callers hold by mistake, or that somebody sends on purpose. */
function strange(choices: Choices): PolicyValue {
  const options: unknown[] = [
    null,
    undefined,
    Number.NaN,
    1.5,
    -0,
    2 ** 53,
    'a',
    '',
    '\udc00',
    true,
    [],
    [[]],
    {},
    { type: 'Reeve::Team', id: 'dba' },
    { type: 'Reeve::Team', id: 'dba', more: 1 },
    { fn: 'datetime', arg: '2026-01-01' },
    ['Reeve::Team', 'dba'],
    { __entity: { type: 'Reeve::Team', id: 'dba' } },
    linkTo('Team', 'dba'),
    linkTo('Person', 'ann'),
    linkTo('no type', 'x'),
    new Date(0),
    new Date(Number.NaN),
    new Date(8.64e15),
    '2026-01-01',
    '2026-01-01T00:00:00Z',
    new Map([['a', 1]]),
    () => 1,
    Symbol.iterator,
    1n,
    Object.create({ id: 'inherited' }),
    JSON.parse('{"__proto__": {"id": "x"}}'),
  ]
  return options[choices.below(options.length)] as PolicyValue
}

function mutated<T extends Readonly<Record<string, PolicyValue>>>(
  choices: Choices,
  record: T,
): Record<string, PolicyValue> {
  const changed: Record<string, PolicyValue> = { ...record }
  if (seldom(choices, 8))
    changed[pick(choices, [...Object.keys(record), 'purpose', 'ticket', 'onBehalfOf', 'unknown'])] = strange(choices)
  if (seldom(choices, 16)) delete changed[pick(choices, Object.keys(record))]
  return changed
}

const PURPOSES = [
  { id: 'p', approved: true, covers: true },
  { id: 'p', approved: true, covers: true, environment: 'production' },
] as const

function questionOf(choices: Choices): EvaluationRequest {
  const change = (entity: Entity) => ({ ...entity, attributes: mutated(choices, entity.attributes) })
  const purpose = seldom(choices, 2) ? { purpose: pick<PolicyValue>(choices, PURPOSES) } : {}
  const entities = [change(ann), change(orders), { type: 'Team', id: 'dba', attributes: {} }]
  return {
    principal: seldom(choices, 12)
      ? { type: pick(choices, ['Agent', 'person', 'Team', '__proto__']), id: 'ann' }
      : question.principal,
    action: seldom(choices, 12) ? pick(choices, ['privileged', 'nothing', 'constructor']) : question.action,
    resource: seldom(choices, 12) ? { type: 'Account', id: pick(choices, ['x', '\ud800']) } : question.resource,
    context: mutated(choices, { ...context, ...purpose }),
    entities: seldom(choices, 8) ? entities.slice(1) : entities,
  }
}

function compare(reference: Engine, engine: Engine, asked: EvaluationRequest): Evaluation {
  const evaluation = engine.evaluate(asked)
  assert.deepEqual(print(evaluation), print(reference.evaluate(asked)))
  return evaluation
}

test('the shipped policies answer every question, strange data too, as the reference engine does', async (t) => {
  const set = await loadPolicySet(FOLDER, [READ])
  using reference = openCedarEngine(set)
  using engine = await openCompiledEngine(set)
  let [asked, allowed, refused] = [0, 0, 0]
  const property = fc.property(fc.uint8Array({ minLength: 60, maxLength: 200, size: 'max' }), (bytes) => {
    const { decision, errors } = compare(reference, engine, questionOf(choicesFrom(bytes)))
    asked += 1
    if (decision) allowed += 1
    if (errors.length > 0) refused += 1
  })

  const details = fc.check(property, { numRuns: 3000 })

  t.diagnostic(`seed ${details.seed}: ${JSON.stringify({ asked, allowed, refused, fellBack: engine.fallbacks() })}`)
  assert.ok(!details.failed, fc.defaultReportMessage(details))
  assert.ok(allowed > asked / 20 && refused > asked / 20 && engine.fallbacks() < asked / 4)
})
