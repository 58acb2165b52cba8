import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policySetInvalid } from './faults.ts'
import { buildPolicySet } from './policy-set.ts'
import { buildSchema } from './schema.ts'

const schema = buildSchema(
  `namespace Reeve {
  entity Person, Machine, Workload, Agent = { name?: String };
  entity Target, Installation;
  type Context = { note?: String };
  action "privileged";
  action "operation";
  action "rules.change" in ["operation"];
}`,
  [
    { name: 'postgres.read', groups: ['privileged'], resources: ['Target'] },
    { name: 'policy.activate', groups: ['rules.change'], resources: ['Installation'] },
  ],
)

function load(scope: string, approval = '1 of dba or auto when risk < 40 and ticket') {
  const text = `@id("gate")\n@approval("${approval}")\npermit (principal, action${scope}, resource);`
  return buildPolicySet([{ name: 'own.cedar', text }], schema)
}

test('attack: a gate on an operation of Reeve that opens by itself is no way around people: it is refused, with its place', () => {
  for (const scope of [
    ' == Reeve::Action::"policy.activate"',
    ' in Reeve::Action::"rules.change"',
    ' in [Reeve::Action::"operation", Reeve::Action::"rules.change"]',
  ]) {
    assert.throws(
      () => load(scope),
      (error) =>
        policySetInvalid.is(error) && /own\.cedar:2:1 \(gate\): @approval: an operation of Reeve/.test(error.message),
      scope,
    )
    assert.doesNotThrow(() => load(scope, '1 of dba'))
  }
})

test('where a policy is about acts at targets too, such a gate may stand', () => {
  for (const scope of [
    '',
    ' in Reeve::Action::"privileged"',
    ' in [Reeve::Action::"operation", Reeve::Action::"privileged"]',
  ]) {
    assert.doesNotThrow(() => load(scope))
  }
})
