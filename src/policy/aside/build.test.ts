import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { policySetInvalid } from '../faults.ts'
import { buildPolicySet } from '../policy-set.ts'
import { buildSchema } from '../schema.ts'
import { buildPolicySetAside } from './build.ts'

const base = readFileSync(join(import.meta.dirname, '../../../policies/schema.cedarschema'), 'utf8')
const schema = buildSchema(base, [{ name: 'postgres.read', groups: ['privileged.read'], resources: ['Target'] }])

const many = Array.from(
  { length: 100 },
  (_, at) => `@id("role-${at}") @ttl("1h") @approval("2 of dba")
    permit (principal in Reeve::Team::"team-${at}", action, resource is Reeve::Target) when { resource.tier > ${at} };`,
)

test('a set that is built aside is the set that is built here', async () => {
  const files = [{ name: 'many.cedar', text: many.join('\n') }]

  const aside = await buildPolicySetAside(files, schema)

  assert.deepEqual(aside, buildPolicySet(files, schema))
})

test('what is wrong with a set that is built aside is told with its place', async () => {
  const files = [
    { name: 'many.cedar', text: `${many.join('\n')}\npermit (principal, action, resource) when { resource.nothing };` },
  ]
  const told = (error: unknown) => policySetInvalid.is(error) && /many\.cedar:201:\d+/.test(error.message)

  assert.throws(() => buildPolicySet(files, schema), told)
  await assert.rejects(buildPolicySetAside(files, schema), told)
})
