import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { both, soon, type Soon } from './soon.ts'

/** Either as it is or as a promise; what is undefined fails. */
const part = fc.record({ value: fc.option(fc.integer(), { nil: undefined }), isLater: fc.boolean() })
type Part = typeof part extends fc.Arbitrary<infer T> ? T : never

function given({ value, isLater }: Part, name: string): Soon<number> {
  const answer = () => {
    if (value === undefined) throw new Error(name)
    return value
  }
  return isLater ? Promise.resolve().then(answer) : answer()
}

async function outcome(work: () => Soon<unknown>): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    return String(error)
  }
}

test('what is at hand and what has to be waited for come to the same', async () => {
  await fc.assert(
    fc.asyncProperty(part, part, part, async (a, b, c) => {
      const work = (isLater: (part: Part) => Part) => () =>
        both(
          soon(given(isLater(a), 'a'), (one) => one + 1),
          () => given(isLater(b), 'b'),
          (one, other) => soon(given(isLater(c), 'c'), (third) => [one, other, third]),
        )
      const mixed = await outcome(work((each) => each))
      const atOnce = await outcome(work((each) => ({ ...each, isLater: false })))
      // Of two that fail, either may be heard of.
      const areBoth = a.value === undefined && b.value === undefined
      if (areBoth) assert.match(String(mixed), /^Error: [ab]$/)
      else assert.deepEqual(mixed, atOnce)
    }),
  )
})

test('what is at hand is used in the same turn', () => {
  const seen: number[] = []
  void both(
    soon(1, (value) => value + 1),
    () => 3,
    (one, other) => seen.push(one, other),
  )
  assert.deepEqual(seen, [2, 3])
})

test('a failure that is waited for has somebody who listens when the other one throws at once', async () => {
  const late = Promise.reject(new Error('late'))
  const work = () =>
    both(
      late,
      () => {
        throw new Error('at once')
      },
      () => undefined,
    )
  // An unheard one would end this process.
  assert.match(String(await outcome(work)), /Error: (late|at once)/)
})
