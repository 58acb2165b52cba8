import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isMet, needOf } from './need.ts'
import { openPrefilter } from './prefilter.ts'
import { BLOCK_BYTES } from './hits.ts'
import { both, fits, shapeOf, shapeOfLiteral } from './shape.ts'

/** Every occurrence in any case of letters, by looking at each place. */
function naive(bytes: Buffer, literals: readonly string[]): Set<string> {
  const lower = bytes.toString('latin1').replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
  const found = new Set<string>()
  literals.forEach((literal, number) => {
    const wanted = literal.toLowerCase()
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + 1)) found.add(`${number}@${at}`)
  })
  return found
}

function filtered(bytes: Buffer, literals: readonly string[], isPlain: boolean) {
  const found = new Set<string>()
  const runs: number[] = []
  openPrefilter(literals.map(shapeOfLiteral), { isPlain }).scan(
    bytes,
    (literal, at) => found.add(`${literal}@${at}`),
    (at) => runs.push(at),
  )
  return { found, runs }
}

const ALPHABET = 'abAB_-/:=.019 \n'
const literal = fc.string({ unit: fc.constantFrom(...Array.from(ALPHABET)), minLength: 3, maxLength: 9 })
const text = fc
  .array(fc.oneof(fc.constantFrom(...Array.from(ALPHABET)), literal), { maxLength: 400 })
  .map((parts) => parts.join(''))

for (const isPlain of [false, true]) {
  const how = isPlain ? 'without SIMD' : 'with SIMD'

  test(`${how} every occurrence of any literal is told, and nothing else`, () => {
    fc.assert(
      fc.property(fc.array(literal, { minLength: 1, maxLength: 40 }), text, fc.nat(40), (literals, body, filler) => {
        const bytes = Buffer.from('z'.repeat(filler) + body + literals.join(''), 'latin1')

        assert.deepEqual(
          [...filtered(bytes, literals, isPlain).found].toSorted(),
          [...naive(bytes, literals)].toSorted(),
        )
      }),
      { numRuns: 150 },
    )
  })

  test(`${how} so it is in random bytes of any length, across the seams of blocks`, () => {
    const pieces = ['ghp_', 'eyJ', 'Secret', 'abab', 'xoxb-', 'r8_']
    const piece = fc.oneof(
      fc.constantFrom(...pieces).map((one) => Buffer.from(one, 'latin1')),
      fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one)),
    )
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 60 }), fc.nat(70_000), (parts, filler) => {
        const bytes = Buffer.concat([Buffer.alloc(filler, 'q1_ '), ...parts])

        assert.deepEqual([...filtered(bytes, pieces, isPlain).found].toSorted(), [...naive(bytes, pieces)].toSorted())
      }),
      { numRuns: 100 },
    )
  })

  test(`${how} nothing is left out of any bytes, nor at the seams between blocks`, () => {
    const literals = ['ghp_', 'password', 'SG.', '-----BEGIN']
    for (const at of [
      0,
      1,
      13,
      BLOCK_BYTES - 130,
      BLOCK_BYTES - 128,
      BLOCK_BYTES - 3,
      BLOCK_BYTES,
      2 * BLOCK_BYTES - 256,
    ]) {
      for (const one of literals) {
        const bytes = Buffer.alloc(at + one.length, 0xff)
        bytes.write(one, at, 'latin1')

        assert.ok(filtered(bytes, literals, isPlain).found.has(`${literals.indexOf(one)}@${at}`), `${one} at ${at}`)
      }
    }
  })

  test(`${how} every run of 47 base64 characters is told, wherever it stands`, () => {
    fc.assert(
      fc.property(fc.nat(3 * BLOCK_BYTES), fc.integer({ min: 47, max: 300 }), (before, size) => {
        const bytes = Buffer.concat([Buffer.alloc(before, ' '), Buffer.alloc(size, 'aZ9+/_-'), Buffer.from(' ')])
        const { runs } = filtered(bytes, ['zzzz'], isPlain)

        assert.ok(runs.some((at) => at >= before && at < before + size))
        assert.ok(runs.every((at) => at >= before && at < before + size))
      }),
      { numRuns: 60 },
    )
  })
}

test('what a pattern matches fits its shape, has what it needs, and is never longer than was said', () => {
  let needs = 0
  for (const pattern of [
    /sk_(?:live|test)_[0-9a-f]{4,20}/,
    /(?:a|bc)?[^\s"']{2,6}\.(?<s>x+|\d{3})/,
    /ab?c{0,2}d*/,
    /[\w.-]{1,3}:(?:[A-Z]{2}|z)?q/,
    /eyJ[A-Za-z0-9_-]{2,9}\.(?:[+/]|\u0041)-/,
    /(?:ab|abcd?):\/\/[^\s:@]{0,9}(?::[a-z]{0,9})?@[a-z]/,
    /(?:key|akey)[\w ]{0,9}["']?(?:=>|:{0,2}=|>(?:\r?\n)?)["'= ]{0,2}[x-z]{2}/,
  ]) {
    const { shape, longest } = shapeOf(pattern)
    const need = needOf(pattern)
    if (need) needs += 1
    fc.assert(
      fc.property(
        fc.stringMatching(new RegExp(`^${pattern.source}$`)),
        fc.uint8Array({ maxLength: 9 }),
        (match, rest) => {
          fc.pre(Array.from(match).every((character) => character <= '\u00ff'))
          const bytes = Buffer.concat([Buffer.from(match, 'latin1'), rest])

          assert.ok(fits(shape, bytes, 0), JSON.stringify(match))
          assert.ok(!need || isMet(need, bytes, 0), JSON.stringify(match))
          assert.ok(match.length <= longest)
        },
      ),
      { numRuns: 100 },
    )
  }
  assert.equal(needs, 3)
})

test('a need refuses an address without a login, and a name that nothing is assigned to, before a pattern is tried', () => {
  const address = needOf(/(?:http|https):\/\/[^\s:/@]{0,99}:(?<s>[^\s/@]{3,200})@/)
  const name = needOf(/key[\w ]{0,28}["']?(?:=>|:?=)[0-9a-f]{32}/)
  const isRefused = (need: typeof address, text: string) => need !== undefined && !isMet(need, Buffer.from(text), 0)

  assert.ok(isRefused(address, 'https://example.com/a@b'))
  assert.ok(isRefused(address, 'https://example.com'))
  assert.ok(!isRefused(address, 'http://me:word@example.com'))
  assert.ok(isRefused(name, 'keys; a = b'))
  assert.ok(!isRefused(name, 'key of it" => 0'))
  assert.equal(needOf(/sk_[0-9a-f]{40}/), undefined)
})

test('a shape refuses what its pattern could not begin with', () => {
  const { shape } = shapeOf(/sk_[0-9a-f]{48}/)
  const folded = shapeOf(/(?i:Key)=["']?[A-Z]/).shape

  assert.ok(fits(shape, Buffer.from('sk_0123456789ab'), 0))
  assert.ok(!fits(shape, Buffer.from('sk_01234567X9ab'), 0))
  assert.ok(!fits(shape, Buffer.from('SK_0123456789ab'), 0))
  assert.ok(fits(folded, Buffer.from('kEY="A'), 0))
  assert.ok(!fits(folded, Buffer.from('kEY= A'), 0))
  assert.ok(fits(both(shapeOfLiteral('abc'), shapeOf(/[a-z]{2}C/).shape), Buffer.from('abC'), 0))
  assert.ok(!fits(both(shapeOfLiteral('abc'), shapeOf(/[a-z]{2}C/).shape), Buffer.from('abc'), 0))
})

test('a pattern that cannot be read, or a literal too short to be looked for, is refused', () => {
  assert.throws(() => shapeOf(/a\p{L}/u), /cannot be read/)
  assert.throws(() => shapeOf(/(a)\1/), /cannot be read/)
  assert.throws(() => openPrefilter([shapeOfLiteral('ab')]), /fewer than three/)
})

test('SIMD is there', () => {
  assert.ok(openPrefilter([shapeOfLiteral('akia')]).isSimd)
})
