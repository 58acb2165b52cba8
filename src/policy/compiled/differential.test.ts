import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { choicesFrom } from '../../../test/support/cedar/choices.ts'
import { compareWorld, newTally } from '../../../test/support/cedar/differential.ts'

/** Worlds of a schema, some policies, two sets of entities and ten requests about each; `npm run conform -- cedar --fuzz` makes many more. */
const WORLDS = 1000
const SIZES = { policies: 8, stores: 2, requests: 10 }

test('the compiled engine answers every generated question as the reference engine does', (t) => {
  const tally = newTally()
  const property = fc.property(fc.uint8Array({ minLength: 2000, maxLength: 6000, size: 'max' }), (bytes) => {
    const world = newTally()
    compareWorld(choicesFrom(bytes), SIZES, world)
    for (const name of ['requests', 'allowed', 'erred', 'refused', 'fellBack', 'policies'] as const)
      tally[name] += world[name]
    assert.deepEqual(world.differences, [])
  })

  const details = fc.check(property, { numRuns: WORLDS })

  t.diagnostic(`seed ${details.seed}: ${JSON.stringify({ ...tally, differences: undefined })}`)
  assert.ok(!details.failed, fc.defaultReportMessage(details))
  // A comparison of nothing, or of refusals only, would prove nothing.
  assert.equal(tally.requests, WORLDS * SIZES.stores * SIZES.requests)
  assert.ok(tally.allowed > tally.requests / 50, `only ${tally.allowed} were allowed`)
  assert.ok(tally.erred > tally.requests / 50, `only ${tally.erred} met an error`)
  assert.ok(tally.refused > 0 && tally.refused < tally.requests / 2, `${tally.refused} did not fit the schema`)
  assert.ok(tally.fellBack < tally.requests / 20, `${tally.fellBack} were left to the reference engine`)
})
