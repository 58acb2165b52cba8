import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonRefused, parseStrictJson } from './strict-json.ts'
import { addressKey, TokenBuckets } from './token-bucket.ts'

const SAFE_KEY = fc.string().filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key))

test('whatever JSON writes is read back as JSON reads it', () => {
  fc.assert(
    fc.property(
      fc.letrec((tie) => ({
        value: fc.oneof(
          { depthSize: 'small', maxDepth: 6 },
          fc.string(),
          fc.double({ noNaN: true }),
          fc.boolean(),
          fc.constant(null),
          fc.array(tie('value')),
          fc.dictionary(SAFE_KEY, tie('value')),
        ),
      })).value,
      fc.constantFrom(undefined, 1, '\t'),
      (value, space) => {
        const text = JSON.stringify(value, null, space)

        assert.deepEqual(parseStrictJson(Buffer.from(text)), JSON.parse(text))
      },
    ),
  )
})

test('a key that stands twice in one object is found wherever it stands', () => {
  fc.assert(
    fc.property(SAFE_KEY, fc.jsonValue({ maxDepth: 2 }), fc.integer({ min: 0, max: 20 }), (key, value, depth) => {
      const [name, member] = [JSON.stringify(key), '1']
      const object = `{${name}:${member},"other ${depth}":"{\\"a\\":[","x":[{}],${name}:${JSON.stringify(JSON.stringify(value))}}`

      assert.throws(() => parseStrictJson(Buffer.from('['.repeat(depth) + object + ']'.repeat(depth))), JsonRefused)
    }),
  )
})

test('a text that neither a database nor UTF-8 can hold is refused wherever it stands', () => {
  for (const text of [
    '"\\u0000"',
    '"a\\ud800"',
    '"\\udc00\\ud800"',
    '{"a":["\\u0000"]}',
    '{"\\ud800":1}',
    '{"\\u0000":1}',
  ]) {
    assert.throws(() => parseStrictJson(Buffer.from(text)), JsonRefused, text)
  }
  assert.equal(parseStrictJson(Buffer.from('"\\ud83d\\ude00 \\\\u0000"')), '😀 \\u0000')
})

test('bytes of any kind are either refused or read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseStrictJson(bytes)
      } catch (error) {
        assert.ok(error instanceof JsonRefused)
      }
    }),
  )
})

test('a bucket gives its burst at once and then its rate, and one customer of IPv6 has one bucket', () => {
  let nowMs = 0
  const buckets = new TokenBuckets({ monotonicMs: () => nowMs }, { perSecond: 2, burst: 3 })

  const first = [1, 2, 3, 4].map(() => buckets.take('a'))
  nowMs += 500
  const later = [buckets.take('a'), buckets.take('a'), buckets.take('b')]

  assert.deepEqual(
    [first, later],
    [
      [0, 0, 0, 1],
      [0, 1, 0],
    ],
  )
  assert.equal(addressKey('2001:db8:1:2::1'), addressKey('2001:db8:1:2:ffff::9'))
  assert.notEqual(addressKey('2001:db8:1:3::1'), addressKey('2001:db8:1:2::1'))
  assert.equal(addressKey('::ffff:10.0.0.1'), '10.0.0.1')
})
