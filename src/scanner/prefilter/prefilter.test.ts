import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openPrefilter } from './prefilter.ts'
import { BLOCK_BYTES } from './hits.ts'

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
  openPrefilter(literals, { isPlain }).scan(
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

  test(`${how} no occurrence of any literal is left out`, () => {
    fc.assert(
      fc.property(fc.array(literal, { minLength: 1, maxLength: 40 }), text, fc.nat(40), (literals, body, filler) => {
        const bytes = Buffer.from('z'.repeat(filler) + body + literals.join(''), 'latin1')
        const { found } = filtered(bytes, literals, isPlain)

        for (const one of naive(bytes, literals)) assert.ok(found.has(one), `${one} of ${JSON.stringify(literals)}`)
      }),
      { numRuns: 150 },
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

test('with SIMD the same places are told as without, but for those of hashes that meet', () => {
  const literals = ['akia', 'ghp_', 'xoxb-', 'eyJ']
  const bytes = Buffer.from('AKIA ghp_ GHP_ xoxb-1 eyJhbGci eyj '.repeat(50))

  assert.ok(openPrefilter(literals).isSimd)
  assert.deepEqual(
    [...filtered(bytes, literals, false).found].toSorted(),
    [...filtered(bytes, literals, true).found].toSorted(),
  )
})

test('a literal too short to be looked for is refused', () => {
  assert.throws(() => openPrefilter(['ab']), /2 bytes/)
})
