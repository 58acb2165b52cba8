import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/random.ts'
import { openCedarEngine } from '../evaluate.ts'
import { liveEngine } from '../live-engine.ts'
import { buildPolicySet } from '../policy-set.ts'
import { buildSchema } from '../schema.ts'
import { decidePrepared, type Prepared } from './question.ts'

const schema = buildSchema(
  `namespace Reeve {
  entity Person, Machine, Workload, Agent;
  entity Document;
  type Context = { now: datetime };
  action "documents";
}`,
  [{ name: 'document.read', groups: ['documents'], resources: ['Document'] }],
)
const engineOf = (text: string) => openCedarEngine(buildPolicySet([{ name: 'a.cedar', text }], schema))

const ann = { type: 'Person', id: 'ann', attributes: {} }
const plan = { type: 'Document', id: 'plan', attributes: {} }
const prepared: Prepared = {
  question: { subject: ann, action: { name: 'document.read' }, resource: plan, context: {} },
  entities: [ann, plan],
  floor: undefined,
  subject: { ref: ann, entities: [ann], isRecord: false },
  onBehalfOf: [],
  resource: { ref: plan, entities: [plan], isRecord: false },
  reasonGiven: false,
  ticket: null,
}

test('attack: a question whose facts were loaded before the policies changed is not answered by those of before', () => {
  using live = liveEngine(engineOf('@id("open") permit (principal, action, resource);'))
  const needs = { clock: systemClock, random: systemRandom, engine: live }
  const before = decidePrepared(needs, prepared)

  live.swap(engineOf('@id("shut") forbid (principal, action, resource);'))
  const after = decidePrepared(needs, prepared)

  assert.deepEqual([before.decision, after.decision], [true, false])
  assert.deepEqual(after.errors, [])
  assert.deepEqual(
    after.policies.map(({ id }) => id),
    ['shut'],
  )
})
