import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { canonicalBytes, canonicalText, isCanonical } from './canonical.ts'
import type { CanonicalValue } from './canonical.ts'
import { commit, commitmentField, opens } from './commitment.ts'

const scalar = fc.oneof(fc.string({ unit: 'grapheme' }), fc.maxSafeInteger(), fc.boolean(), fc.constant(null))
const { value } = fc.letrec<{ value: CanonicalValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'), { maxKeys: 4, noNullPrototype: false }),
  ),
}))

test('members are sorted by UTF-16 code units, as RFC 8785 shows', () => {
  const members = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, ö: 7 }

  assert.equal(canonicalText(members), '{"\\r":2,"1":4,"\u0080":6,"ö":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}')
  assert.equal(canonicalText('\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/'), '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"')
})

test('the order in which members were set does not matter, and the text reads back as the value', () => {
  fc.assert(
    fc.property(value, (one) => {
      const text = canonicalText(one)

      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(one)))
      assert.equal(canonicalText(JSON.parse(text)), text)
      assert.ok(isCanonical(canonicalBytes(one)))
    }),
  )
})

test('what is not in the subset is refused', () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const others = [1.5, NaN, Infinity, 2 ** 53, undefined, 1n, Symbol('s'), () => 0, new Date(0), new Map(), '\ud800']

  for (const other of [...others, cycle, { [Symbol('hidden')]: 1 }, Buffer.from('x')]) {
    assert.throws(() => canonicalText(other), TypeError)
    assert.throws(() => canonicalText([{ inside: other }]), TypeError)
  }
  assert.throws(() => canonicalText([1, , 2]), TypeError) // oxlint-disable-line no-sparse-arrays -- the hole is the point
})

test('bytes that say the same in another spelling are not canonical', () => {
  for (const text of [
    '{"b":1,"a":2}',
    '{"a": 1}',
    '[1.0]',
    '{"a":1,"a":1}',
    '"\\u0041"',
    '[1e2]',
    '',
    '\ufeff1',
    '-0',
  ]) {
    assert.equal(isCanonical(Buffer.from(text)), false, text)
  }
  assert.equal(isCanonical(Buffer.from([0x22, 0xff, 0x22])), false)
})

test('a member named __proto__ is a member like any other', () => {
  const text = '{"__proto__":{"polluted":true}}'

  assert.equal(canonicalText(JSON.parse(text)), text)
})

test('a commitment opens with its salt and value only', () => {
  const salt = Buffer.alloc(32, 7)
  const commitment = commitmentField(salt, 'alice@example.com')

  const expected = createHash('sha256').update(salt).update('alice@example.com').digest('base64')
  assert.deepEqual(commitment, { commitment: expected })
  assert.ok(opens(commitment, salt, 'alice@example.com'))
  assert.equal(opens(commitment, salt, 'mallory@example.com'), false)
  assert.equal(opens(commitment, Buffer.alloc(32, 8), 'alice@example.com'), false)
})

test('bytes can not be moved between salt and value', () => {
  const commitment = commitmentField(Buffer.alloc(32, 0x61), 'abc')

  assert.equal(opens(commitment, Buffer.alloc(33, 0x61), 'bc'), false)
  assert.throws(() => commit(Buffer.alloc(31), 'x'), TypeError)
  assert.throws(() => commit(Buffer.alloc(32), '\ud800'), TypeError)
})
