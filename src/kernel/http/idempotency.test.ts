import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answered } from '../../../test/support/api.ts'
import { AT, body, itemsApiOfThisFile, json, ranDry, slug } from '../../../test/support/items-api.ts'

const items = itemsApiOfThisFile()

test('a repeat with the same Idempotency-Key gets the first answer and runs nothing', async () => {
  const headers = { ...json, 'idempotency-key': 'k-1' }
  const first = await items.call('POST', '/v1/items', { headers, body: body({ name: 'once' }) })
  const count = items.ran.length

  const again = await items.call('POST', '/v1/items', { headers, body: body({ name: 'once' }) })
  const other = await items.call('POST', '/v1/items', { headers, body: body({ name: 'twice' }) })
  const bobs = await items.call('POST', '/v1/items', {
    headers: { ...headers, authorization: 'Bearer token-bob' },
    body: body({ name: 'once' }),
  })

  assert.deepEqual([again.status, again.text, again.headers['idempotency-replayed']], [201, first.text, 'true'])
  assert.deepEqual([other.status, slug(other)], [409, 'idempotency-key-reused'])
  assert.notEqual(bobs.text, first.text)
  assert.equal(items.ran.length, count + 1)
})

test('a repeat is decided again: who may no longer do it does not get the kept answer', async (t) => {
  const headers = { ...json, 'idempotency-key': 'k-2' }
  await items.call('POST', '/v1/items', { headers, body: body({ name: 'kept' }) })
  t.after(() => (items.isPermitted = true))
  items.isPermitted = false

  const again = await items.call('POST', '/v1/items', { headers, body: body({ name: 'kept' }) })

  assert.deepEqual([again.status, slug(again)], [403, 'not-permitted'])
})

test('of several requests at once under one key, one runs', async (t) => {
  const headers = { ...json, 'idempotency-key': 'k-3' }
  const { promise, resolve } = Promise.withResolvers<void>()
  items.hold = promise
  t.after(() => (items.hold = undefined))
  const count = items.ran.length

  const all = Array.from({ length: 5 }, () =>
    items.call('POST', '/v1/items', { headers, body: body({ name: 'race' }) }),
  )
  const early: Answered[] = []
  for (const one of all) void one.then((answer) => early.push(answer) === 4 && resolve())
  const answers = await Promise.all(all)

  assert.deepEqual(early[0]?.json().facts, { outcome: 'running' })
  assert.equal(answers.filter(({ status }) => status === 201).length, 1)
  assert.equal(
    answers.filter((answer) => answer.status === 409 && slug(answer) === 'idempotency-key-in-progress').length,
    4,
  )
  assert.equal(items.ran.length, count + 1)
})

test('a problem is kept for its key; after an error of ours nothing is run a second time', async (t) => {
  t.after(() => (items.failure = undefined))
  const send = (key: string) =>
    items.call('POST', '/v1/items', { headers: { ...json, 'idempotency-key': key }, body: body() })
  items.failure = ranDry('Refill it.', { at: new Date(AT), left: 0 })
  const dry = await send('k-4')
  items.failure = new Error('password hunter2 in an error of ours')
  const broken = await send('k-5')
  items.failure = undefined
  const count = items.ran.length

  const dryAgain = await send('k-4')
  const brokenAgain = await send('k-5')

  assert.deepEqual([dry.status, dry.json().facts, dry.json().detail], [409, { at: AT, left: 0 }, 'Refill it.'])
  assert.equal(dryAgain.text, dry.text)
  assert.deepEqual([broken.status, slug(broken)], [500, 'internal-error'])
  assert.deepEqual(Object.keys(broken.json()).sort(), ['requestId', 'status', 'title', 'type'])
  assert.equal(slug(brokenAgain), 'idempotency-key-in-progress')
  assert.equal(items.ran.length, count)
})
