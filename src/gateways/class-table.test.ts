import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONTROL_LOST_MS } from '../access/access.ts'
import { ClassTable, type ClassTableNeeds, type SessionTerms } from './class-table.ts'

const terms: SessionTerms = { mode: 'enforce', through: [], holds: [] }

/** A table over a clock and hints that the test moves, and decisions that it gives. */
function table() {
  const here = { nowMs: 0, epoch: 'a', missed: 0 }
  const asked: PromiseWithResolvers<Awaited<ReturnType<ClassTableNeeds['decide']>>>[] = []
  const made = new ClassTable(
    {
      clock: { monotonicMs: () => here.nowMs },
      epoch: () => here.epoch,
      missed: () => here.missed,
      decide: () => {
        const next = Promise.withResolvers<Awaited<ReturnType<ClassTableNeeds['decide']>>>()
        asked.push(next)
        return next.promise
      },
      uncovered: (action) => `not ${action}`,
    },
    { actions: ['read'], terms, epoch: 'a', missed: 0, expiresInMs: 3_600_000 },
  )
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return { here, asked, made, settle }
}

test('a change that was heard of refuses at once, until it was decided again', async () => {
  const { here, asked, made, settle } = table()
  assert.equal(made.refusal('read'), undefined)

  here.epoch = 'b'

  assert.match(made.refusal('read') ?? '', /decided again/)
  asked[0]?.resolve({ reasons: [], terms })
  await settle()
  assert.equal(made.refusal('read'), undefined)
})

test('where a change may have been missed it is decided again beside, and what comes of it counts', async () => {
  const { here, asked, made, settle } = table()

  here.missed = 1

  assert.equal(made.refusal('read'), undefined)
  assert.equal(made.refusal('read'), undefined)
  assert.equal(asked.length, 1, 'once')
  asked[0]?.resolve({ reasons: ['The team is another.'] })
  await settle()
  assert.match(made.refusal('read') ?? '', /permit this no more.*The team is another/)
})

test('attack: what may have been missed is not put off for longer than control may be lost', async () => {
  const { here, asked, made, settle } = table()

  here.missed = 1
  assert.equal(made.refusal('read'), undefined)
  asked[0]?.reject(new Error('the database is away'))
  await settle()

  here.nowMs = CONTROL_LOST_MS - 1
  assert.equal(made.refusal('read'), undefined)
  here.missed = 2
  here.nowMs = CONTROL_LOST_MS
  assert.match(made.refusal('read') ?? '', /decided again/)
})
