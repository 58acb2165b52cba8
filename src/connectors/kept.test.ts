import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keptAsTold, keptOf } from './kept.ts'
import { KINDS, ODD, plain } from '../../test/support/observations.ts'
import { Observation } from './observation.ts'

test('what is taken as it was told the schema takes, and leaves as it is: the verdict is always that of the schema', () => {
  const seen: Record<string, { told: number; asTold: number; refused: number }> = {}

  for (const [kind, fields] of Object.entries(KINDS)) {
    // Few: the schema always has the word over them.
    if (kind === 'trust') continue
    const count = (seen[kind] = { told: 0, asTold: 0, refused: 0 })
    // Any one field may be something else altogether.
    const field = fc.constantFrom(...Object.keys(fields))
    const odd = fc.option(fc.tuple(field, fc.constantFrom(...ODD)), { freq: 2 })
    fc.assert(
      fc.property(plain(fields), odd, (own, other) => {
        const told = { kind, ...own, ...(other && { [other[0]]: other[1] }) } as Observation
        const parsed = Observation.safeParse(told).data
        const asTold = keptAsTold(told)

        count.told += 1
        if (parsed === undefined) count.refused += 1
        if (asTold !== undefined) {
          count.asTold += 1
          // What the schema does not know it leaves out; nothing reads it.
          assert.deepEqual(Observation.parse(asTold), parsed)
          assert.ok(parsed)
          assert.partialDeepStrictEqual(asTold, parsed)
          if (asTold.kind === 'reference') assert.ok(!('alg' in asTold.credential))
        }
        assert.equal(keptOf(told) === undefined, parsed === undefined)
      }),
      { numRuns: 1_500 },
    )
  }

  for (const [kind, { told, asTold, refused }] of Object.entries(seen)) {
    assert.ok(asTold > told / 8 && refused > told / 20, `${kind}: ${asTold} as told and ${refused} refused of ${told}`)
  }
})
