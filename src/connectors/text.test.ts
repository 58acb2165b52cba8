import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { tame } from './text.ts'

test('what acts on a terminal is written out', () => {
  assert.equal(tame('\u001b[2Jroot\u0007', 100), '\\u{1b}[2Jroot\\u{7}')
  assert.equal(tame('gpj.\u202eexe', 100), 'gpj.\\u{202e}exe')
  assert.equal(tame('a\r\nb\u0000c', 100), 'a\\u{d}\\u{a}b\\u{0}c')
})

test('ordinary names stay as they are, in any script', () => {
  for (const name of ['svc_billing', 'Zoë', '支払い', '👩‍💻 team', "o'brien; drop"]) assert.equal(tame(name, 100), name)
})

test('two long names that differ only behind the cut stay two', () => {
  const [a, b] = [tame(`${'x'.repeat(1_000_000)}a`, 300), tame(`${'x'.repeat(1_000_000)}b`, 300)]

  assert.notEqual(a, b)
  assert.equal(a.length, 300)
})

test('whatever comes in, what goes out is bounded, well-formed and harmless', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 20, max: 300 }), (raw, max) => {
      const tamed = tame(raw, max)

      assert.ok(tamed.length <= max)
      assert.ok(tamed.isWellFormed())
      // oxlint-disable-next-line no-control-regex -- these are what must not be there
      assert.doesNotMatch(tamed, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/)
      assert.equal(tame(tamed, max), tamed)
    }),
  )
})
