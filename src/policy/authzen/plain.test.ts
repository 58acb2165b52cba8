import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AskedQuestion } from './asked.ts'
import { plainQuestion } from './plain.ts'

const text = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('user', 'bob', 'x'.repeat(512)) },
  { weight: 1, arbitrary: fc.constantFrom('', 'x'.repeat(513)) },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const properties = fc.oneof(
  fc.constant({}),
  fc.constant({ proof: 'mtls', list: [1, null] }),
  fc.dictionary(
    fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('k'.repeat(256), 'k'.repeat(257))),
    fc.jsonValue(),
  ),
  fc.constant({ far: Number.POSITIVE_INFINITY }),
  fc.constant({ deep: [{ far: Number.NaN }] }),
  fc.jsonValue(),
)
const thing = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record(
      { type: text, id: text, properties, more: fc.jsonValue() },
      { requiredKeys: ['type', 'id'], noNullPrototype: true },
    ),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const action = fc.oneof(
  { weight: 9, arbitrary: fc.record({ name: text, properties }, { requiredKeys: ['name'], noNullPrototype: true }) },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const question = fc.record(
  { subject: thing, action, resource: thing, context: properties, more: fc.jsonValue() },
  { requiredKeys: ['subject', 'action', 'resource'], noNullPrototype: true },
)

test('a plain question is one by its schema too and the same one, and no question of the schema is overlooked', () => {
  let taken = 0
  fc.assert(
    fc.property(question, (value) => {
      const parsed = AskedQuestion.safeParse(value)
      const plain = plainQuestion(value)
      assert.equal(plain !== undefined, parsed.success)
      if (plain && parsed.success) {
        taken += 1
        assert.deepEqual(structuredClone(plain), structuredClone(parsed.data))
      }
    }),
    { numRuns: 5_000 },
  )
  assert.ok(taken > 0)
})
