import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Together } from './together.ts'

/** Batches that end when the test says so. */
function held(lanes: number, most = 3) {
  const batches: { asked: readonly number[]; end: PromiseWithResolvers<readonly string[]> }[] = []
  let idle = 0
  const together = new Together<number, string>(
    (asked) => {
      const end = Promise.withResolvers<readonly string[]>()
      batches.push({ asked, end })
      return end.promise
    },
    { most, lanes, onIdle: () => (idle += 1) },
  )
  const finish = (at: number) => batches[at]?.end.resolve(batches[at].asked.map((each) => `<${each}>`))
  const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))
  return { together, batches, finish, turn, idle: () => idle }
}

test('who asks while a batch is under way is in the next one, at most so many, and each gets its own answer', async () => {
  const { together, batches, finish, turn, idle } = held(1)
  const first = [together.ask(1), together.ask(2)]
  await turn()
  const later = [3, 4, 5, 6].map((each) => together.ask(each))
  await turn()
  assert.deepEqual(
    batches.map(({ asked }) => asked),
    [[1, 2]],
  )

  finish(0)
  assert.deepEqual(await Promise.all(first), ['<1>', '<2>'])
  await turn()
  finish(1)
  await turn()
  finish(2)

  assert.deepEqual(await Promise.all(later), ['<3>', '<4>', '<5>', '<6>'])
  assert.deepEqual(
    batches.map(({ asked }) => asked),
    [[1, 2], [3, 4, 5], [6]],
  )
  await turn()
  assert.deepEqual([idle(), together.isIdle()], [1, true])
})

test('a second lane begins what the first one left, and what fails fails for its batch alone', async () => {
  const { together, batches, finish, turn } = held(2)
  const first = together.ask(1)
  await turn()
  const second = together.ask(2)
  await turn()
  assert.deepEqual(
    batches.map(({ asked }) => asked),
    [[1], [2]],
  )

  batches[0]?.end.reject(new Error('the disk is full'))
  finish(1)

  await assert.rejects(first, /disk is full/)
  assert.equal(await second, '<2>')
})

test('who gives up before their batch begins is left out of it', async () => {
  const { together, batches, finish, turn } = held(1)
  const first = together.ask(1)
  await turn()
  const gone = new AbortController()
  const second = together.ask(2, gone.signal)
  const third = together.ask(3)
  gone.abort(new Error('no longer wanted'))
  finish(0)

  await assert.rejects(second, /no longer wanted/)
  await first
  await turn()
  finish(1)

  assert.equal(await third, '<3>')
  assert.deepEqual(batches[1]?.asked, [3])
})
