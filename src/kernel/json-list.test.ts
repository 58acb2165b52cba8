import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonItems } from './json-list.ts'

async function* cut(text: string | Buffer, sizes: readonly number[]): AsyncGenerator<Buffer, void> {
  const bytes = Buffer.from(text)
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function read(body: AsyncIterable<Buffer>, key?: string, limits = {}) {
  const items: unknown[] = []
  const reading = jsonItems(body, key, limits)
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (next.done) return { items, rest: next.value }
    items.push(next.value)
  }
}

const json = fc.jsonValue({ maxDepth: 3 })
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })

test('every list, however it is cut, is the items that JSON.parse finds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(json), sizes, fc.constantFrom(undefined, 2), async (list, by, indent) => {
      assert.deepEqual(await read(cut(JSON.stringify(list, null, indent), by)), {
        items: JSON.parse(JSON.stringify(list)),
        rest: [],
      })
    }),
  )
})

test('a list under a key comes with what stands beside it, whatever that holds', async () => {
  const beside = fc.dictionary(
    fc.string().filter((name) => name !== 'items' && name !== '__proto__'),
    json,
  )
  await fc.assert(
    fc.asyncProperty(beside, fc.array(json), beside, sizes, async (before, items, behind, by) => {
      const whole = { ...before, items, ...behind }
      assert.deepEqual(await read(cut(JSON.stringify(whole), by), 'items'), {
        items: JSON.parse(JSON.stringify(items)),
        rest: { ...JSON.parse(JSON.stringify(whole)), items: [] },
      })
    }),
  )
  const tricky = '{"a":"\\"items\\":[1]","b":{"items":[1]},"x\\\\":["items"],"items" : [ {"items":[2]} , [] ]}'
  assert.deepEqual((await read(cut(tricky, [3]), 'items')).items, [{ items: [2] }, []])
})

test('a list that is null is an empty one, as programs in Go write it', async () => {
  assert.deepEqual(await read(cut('{"a":1,"items":null}', [3]), 'items'), { items: [], rest: { a: 1, items: null } })
})

test('attack: what is cut off, is no list, or is larger than bounds is an error and not a short list', async () => {
  for (const text of [
    '',
    '[1,2',
    '[1,"2',
    '{"items":[1]',
    '{"items":{}}',
    '{"others":[1]}',
    '{}',
    '[1}x',
    '[1 2]',
    'null',
  ])
    await assert.rejects(
      read(cut(text, [2]), text.startsWith('{') ? 'items' : undefined),
      { name: 'ListInvalid' },
      text,
    )
  const long = JSON.stringify(['x'.repeat(100_000)])
  await assert.rejects(read(cut(long, [1000]), undefined, { itemBytes: 50_000 }), { name: 'ListInvalid' })
  await assert.rejects(read(cut(`{"a":"${'x'.repeat(100_000)}","items":[]}`, [1000]), 'items', { restBytes: 50_000 }), {
    name: 'ListInvalid',
  })
})

test('of a list without an end no more than one item is held', async () => {
  async function* endless(): AsyncGenerator<Buffer, void> {
    yield Buffer.from('{"items":[')
    for (;;) yield Buffer.from(`{"a":"${'x'.repeat(10_000)}"},`)
  }
  let seen = 0
  const before = process.memoryUsage().arrayBuffers
  for await (const item of jsonItems(endless(), 'items')) {
    assert.ok(item)
    seen += 1
    if (seen === 20_000) break
  }

  assert.ok(process.memoryUsage().arrayBuffers - before < 100_000_000)
})
