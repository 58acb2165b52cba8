import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller, Resource } from '../../kernel/http/route.ts'
import { holdRight } from './right.ts'

const GATE: Caller = { id: 'gate', name: 'gate', kind: 'workload', proof: 'token', proofId: 'one' }
const QUESTION: Resource = { type: 'Question', id: 'installation', attributes: {} }

function world() {
  const state = { heard: 0, isCurrent: true, epoch: 'a', nowMs: 0, decided: 0, may: true, meanwhile: () => {} }
  const may = holdRight({
    clock: { monotonicMs: () => state.nowMs },
    view: { heard: () => state.heard, isCurrent: () => state.isCurrent },
    epoch: () => state.epoch,
    decide: async () => {
      state.decided += 1
      state.meanwhile()
      if (!state.may) throw new Error('it may not')
    },
  })
  return { state, may }
}

test('the right of an enforcement point is decided once while nothing changes', async () => {
  const { state, may } = world()
  for (let at = 0; at < 100; at += 1) await may(GATE, QUESTION)

  assert.equal(state.decided, 1)
})

test('attack: a right that has ended is refused at the next check, whatever it was that ended it', async () => {
  const ends: ((state: ReturnType<typeof world>['state']) => void)[] = [
    (state) => (state.heard += 1),
    (state) => (state.isCurrent = false),
    (state) => (state.epoch = 'b'),
    (state) => (state.nowMs += 250),
  ]
  for (const end of ends) {
    const { state, may } = world()
    await may(GATE, QUESTION)
    state.may = false
    end(state)
    await assert.rejects(may(GATE, QUESTION), /it may not/)
    // A refusal ends what was held before, and is asked for again.
    await assert.rejects(may(GATE, QUESTION), /it may not/)
  }
})

test('attack: the right of one token is not that of another, nor of another caller, nor for another question', async () => {
  const { state, may } = world()
  await may(GATE, QUESTION)
  state.may = false

  await assert.rejects(may({ ...GATE, proofId: 'two' }, QUESTION))
  await assert.rejects(may({ ...GATE, id: 'other' }, QUESTION))
  await assert.rejects(may(GATE, { ...QUESTION }))
})

test('attack: what is heard while a right is decided makes it old, and without hearing nothing is held', async () => {
  const { state, may } = world()
  state.meanwhile = () => (state.heard += 1)
  await may(GATE, QUESTION)
  await may(GATE, QUESTION)
  assert.equal(state.decided, 2)

  state.meanwhile = () => {}
  state.isCurrent = false
  for (let at = 0; at < 3; at += 1) await may(GATE, QUESTION)
  assert.equal(state.decided, 5)
})
