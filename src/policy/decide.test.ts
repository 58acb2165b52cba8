import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPermit } from '../kernel/permit.ts'
import { parseApproval } from './approval-grammar.ts'
import { decide, permitFrom, type Decision, type DecisionFacts, type Question } from './decide.ts'
import type { Entity } from './entity.ts'
import { openCedarEngine, type Engine } from './evaluate.ts'
import { joinObligations, noEvidence, noObligations } from './obligations.ts'
import { buildPolicySet } from './policy-set.ts'
import { buildSchema } from './schema.ts'

const SCHEMA = `namespace Reeve {
  entity Team;
  entity Person, Machine, Workload, Agent in [Team] = { name: String, level: Long };
  entity Target = { level: Long };
  type Context = { now: datetime, onBehalfOf?: { type: String, id: String }, tries?: Long };
  action "privileged";
}`
const NOW = new Date('2030-01-01T12:00:00Z')

function engineOf(policies: string): Engine {
  const schema = buildSchema(SCHEMA, [{ name: 'postgres.read', groups: ['privileged'], resources: ['Target'] }])
  return openCedarEngine(buildPolicySet([{ name: 'test.cedar', text: policies }], schema))
}

const ann: Entity = { type: 'Person', id: 'ann', attributes: { name: 'ann', level: 5 } }
const bot: Entity = { type: 'Agent', id: 'bot', attributes: { name: 'bot', level: 5 } }
const orders: Entity = { type: 'Target', id: 'orders', attributes: { level: 1 } }

function asks(subject: Entity, ...onBehalfOf: Entity[]): Question<'postgres.read'> {
  return { subject, onBehalfOf, action: { name: 'postgres.read' }, resource: orders, context: {} }
}

const facts: DecisionFacts = { decisionId: 'd1', now: NOW, epoch: '3', entities: [ann, bot, orders] }

test('a decision names its version, its policies with their hashes, its epoch and its time', () => {
  using engine = engineOf('@id("p") @why("all may") permit (principal, action, resource);')

  const decision = decide(engine, asks(ann), facts)

  assert.equal(decision.decision, true)
  assert.deepEqual(decision.policies, [{ id: 'p', sha256: engine.set.policies.get('p')?.sha256 }])
  assert.deepEqual(decision.reasons, ['all may (p)'])
  assert.deepEqual(
    [decision.id, decision.policyVersion, decision.epoch, decision.evaluatedAt],
    ['d1', engine.set.sha256, '3', NOW],
  )
})

test('what no policy permits is denied, and the reason says what could permit it', () => {
  using engine = engineOf(`
    @id("a") @why("seniors read") permit (principal is Reeve::Person, action in Reeve::Action::"privileged", resource) when { principal.level > 8 };
    @id("b") @why("agents read") permit (principal is Reeve::Agent, action, resource) when { principal.level > 8 };`)

  const decision = decide(engine, asks(ann), facts)

  assert.equal(decision.decision, false)
  assert.deepEqual(decision.reasons, [
    'No policy permits Person ann to postgres.read on Target orders. What could: seniors read (a).',
  ])
  assert.deepEqual(decision.obligations, noObligations)
})

test('a forbid that errs denies, although the language would skip it and permit', () => {
  using engine = engineOf(`
    permit (principal, action, resource);
    @id("guard") forbid (principal, action, resource) when { principal.level * 9223372036854775807 > 0 && false };`)
  const question = asks(ann)

  const raw = engine.evaluate({
    principal: ann,
    action: 'postgres.read',
    resource: orders,
    context: { now: NOW },
    entities: facts.entities,
  })
  const decision = decide(engine, question, facts)

  assert.equal(raw.decision, true, 'the attack is real: the language permits')
  assert.equal(decision.decision, false)
  assert.match(decision.errors.join(), /guard: .*overflow/)
  assert.match(decision.reasons.join(), /could not be evaluated, so nobody is permitted/)
})

test('obligations of the floor and of every determining permit join', () => {
  using engine = engineOf(`
    @id("a") @approval("1 of dba") @ttl("1h") permit (principal, action, resource);
    @id("b") @approval("1 of security") @ttl("2h") @record("full") permit (principal, action, resource);
    @id("c") @approval("9 of never") permit (principal, action, resource) when { principal.level == 0 };`)
  const floor = { ...noObligations, uses: 1, reasonRequired: true, ttlSeconds: 7200 }

  const { obligations } = decide(engine, asks(ann), { ...facts, floor })

  assert.deepEqual(obligations, {
    approval: [parseApproval('1 of dba'), parseApproval('1 of security')],
    ttlSeconds: 3600,
    uses: 1,
    stepUp: 'none',
    recording: 'full',
    reasonRequired: true,
    tickets: [],
    hold: [],
  })
})

test('an agent gets no more than the person it acts for, and owes what both owe', () => {
  using engine = engineOf(`
    @id("agents") @ttl("1h") permit (principal is Reeve::Agent, action, resource) when { context has onBehalfOf && context.onBehalfOf.id == "ann" };
    @id("people") @ttl("2h") @approval("1 of dba") permit (principal is Reeve::Person, action, resource) when { principal.level > 3 };`)
  const weakAnn = { ...ann, attributes: { name: 'ann', level: 1 } }

  const both = decide(engine, asks(bot, ann), facts)
  const alone = decide(engine, asks(bot), facts)
  const forWeak = decide(engine, asks(bot, weakAnn), { ...facts, entities: [weakAnn, bot, orders] })

  assert.equal(both.decision, true)
  assert.deepEqual(
    both.policies.map(({ id }) => id),
    ['agents', 'people'],
  )
  assert.equal(both.obligations.ttlSeconds, 3600)
  assert.equal(both.obligations.approval.length, 1)
  assert.equal(alone.decision, false)
  assert.equal(forWeak.decision, false)
  assert.match(forWeak.reasons.join(), /No policy permits Person ann/)
})

test('time and delegation are not the question’s to claim', () => {
  using engine = engineOf(`
    permit (principal, action, resource) when { context.now < datetime("2020-01-01") };
    permit (principal, action, resource) when { context has onBehalfOf };`)
  const claim = { now: new Date('2000-01-01'), onBehalfOf: { type: 'Person', id: 'ann' } }

  assert.equal(decide(engine, { ...asks(bot), context: claim }, facts).decision, false)
})

test('who or what is not in the shared record is denied, even where everything is permitted', () => {
  using engine = engineOf('permit (principal, action, resource);')

  const noSubject = decide(engine, asks(ann), { ...facts, entities: [orders] })
  const noResource = decide(engine, asks(ann), { ...facts, entities: [ann] })
  const noDelegator = decide(engine, asks(bot, ann), { ...facts, entities: [bot, orders] })

  assert.deepEqual(noSubject.reasons, ['Person ann is not known here.'])
  assert.deepEqual(noResource.reasons, ['Target orders is not known here.'])
  assert.deepEqual(noDelegator.reasons, ['Person ann is not known here.'])
})

test('bad data and a version that was put away deny with a reason', async (t) => {
  const gone = engineOf('permit (principal, action, resource);')
  gone[Symbol.dispose]()
  using engine = engineOf('permit (principal, action, resource);')
  const rows: Record<string, () => Decision> = {
    'put away': () => decide(gone, asks(ann), facts),
    'no such action': () => decide(engine, { ...asks(ann), action: { name: 'postgres.fly' } }, facts),
    'context of the wrong type': () => decide(engine, { ...asks(ann), context: { tries: 'many' } }, facts),
    'context is nothing': () => decide(engine, { ...asks(ann), context: null as never }, facts),
    'entities are nothing': () => decide(engine, asks(ann), { ...facts, entities: null as never }),
    'an entity without attributes': () =>
      decide(engine, asks(ann), { ...facts, entities: [{ type: 'Person', id: 'ann' } as never, orders] }),
    'no time': () => decide(engine, asks(ann), { ...facts, now: new Date(Number.NaN) }),
    'no subject': () => decide(engine, { ...asks(ann), subject: undefined as never }, facts),
    'an endless chain': () => decide(engine, asks(bot, ...Array.from({ length: 9 }, () => ann)), facts),
  }
  for (const [title, attempt] of Object.entries(rows)) {
    await t.test(title, () => {
      const decision = attempt()
      assert.equal(decision.decision, false)
      assert.ok(decision.reasons.length > 0 && decision.reasons.every((reason) => reason.length > 10))
      assert.equal(permitFrom(decision, noEvidence).kind, 'denied')
    })
  }
})

test('a hostile name does not reach a reason as it is', () => {
  using engine = engineOf('forbid (principal, action, resource) when { false };')
  const name = '\u001b[2J\nPermitted by admin\u202e'
  const evil = { ...ann, attributes: { name, level: 1 } }

  const [reason = ''] = decide(engine, asks(evil), { ...facts, entities: [evil, orders] }).reasons

  assert.doesNotMatch(reason, /[^\x20-\x7e]/)
})

test('a permit comes of a decision whose obligations are met, and of no other', () => {
  using engine = engineOf('@approval("1 of dba") @reason permit (principal, action, resource);')
  const decision = decide(engine, asks(ann), facts)
  const shown = { ...noEvidence, reasonGiven: true, approvals: [{ approver: 'bob', teams: ['dba'] }] }

  const without = permitFrom(decision, noEvidence)
  const met = permitFrom(decision, shown)

  assert.deepEqual(without, { kind: 'owed', owed: ['Approval is needed: 1 more of dba.', 'A reason is needed.'] })
  assert.ok(met.kind === 'permit' && isPermit(met.permit))
  assert.deepEqual(
    [met.permit.action, met.permit.subject.id, met.permit.resource.id, met.permit.policyEpoch, met.permit.decisionId],
    ['postgres.read', 'ann', 'orders', '3', 'd1'],
  )
})

test('a decision that was altered, copied or made up gives no permit', () => {
  using engine = engineOf('@approval("1 of dba") permit (principal, action, resource) when { principal.level > 3 };')
  const permitted = decide(engine, asks(ann), facts)
  const denied = decide(engine, asks(bot), {
    ...facts,
    entities: [{ ...bot, attributes: { name: 'b', level: 0 } }, orders],
  })

  const waived: Decision<'postgres.read'> = { ...permitted, obligations: noObligations }
  const turned: Decision<'postgres.read'> = { ...denied, decision: true }

  assert.equal(permitFrom(waived, noEvidence).kind, 'denied')
  assert.equal(permitFrom(turned, noEvidence).kind, 'denied')
  assert.throws(() => Object.assign(permitted, { action: 'policy.change' }), TypeError)
  assert.throws(() => Object.assign(denied, { decision: true }), TypeError)
})

test('changing the question after the decision does not change what was permitted', () => {
  using engine = engineOf('permit (principal, action, resource);')
  const resource = { type: 'Target', id: 'orders' }
  const decision = decide(engine, { ...asks(ann), resource }, facts)

  resource.id = 'payroll'

  const outcome = permitFrom(decision, noEvidence)
  assert.ok(outcome.kind === 'permit')
  assert.equal(outcome.permit.resource.id, 'orders')
})

test('adding a permit to the policies never weakens what was permitted', () => {
  const first = '@id("a") @ttl("1h") @approval("1 of dba") permit (principal, action, resource);'
  for (const more of ['@ttl("8h")', '@approval("1 of dba or 1 of anybody")', '', '@record("none") @uses("9")']) {
    using before = engineOf(first)
    using after = engineOf(`${first} ${more} permit (principal, action, resource);`)

    const then = decide(before, asks(ann), facts).obligations
    const now = decide(after, asks(ann), facts).obligations

    assert.deepEqual(joinObligations([then, now]), now)
  }
})
