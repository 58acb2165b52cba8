import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { samples } from '../../../test/support/secrets/all.ts'
import { maker, sampleOf, seeded, type Sample } from '../../../test/support/secrets/samples.ts'
import { openEngine, type Match } from '../engine/engine.ts'
import type { Rule } from './rule.ts'
import { families, rules } from './rules.ts'

const engine = openEngine(rules)
const plain = openEngine(rules, { isPlain: true })
const now = new Date('2026-01-01T00:00:00Z')
const find = ({ path, text }: Sample, by = engine): Match[] =>
  by.find(Buffer.from(text, 'utf8'), { path, now, withNames: false })
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]
const sample = (rule: Rule, seed: number) => sampleOf(samples, rule.id, maker(seeded(seed * 7919 + rule.id.length)))

test('there are at least 150 types of credentials, each with its own id and a sample, and no sample of a type that is gone', () => {
  const ids = rules.map(({ id }) => id)

  assert.ok(ids.length >= 150, `${ids.length}`)
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(Object.keys(samples).toSorted(), ids.toSorted())
  for (const { id, what, issuer, anchors } of rules) {
    assert.match(id, /^[a-z0-9]+(?:-[a-z0-9]+)*$/)
    assert.ok(what.length > 5 && issuer.length > 1 && anchors.length > 0, id)
    for (const anchor of anchors) assert.match(anchor, /^[\x20-\x7e]{3,}$/, `${id}: ${anchor}`)
  }
})

for (const [family, own] of Object.entries(families)) {
  test(`${family}: what is made to each form is found as that and as nothing else, with SIMD and without`, () => {
    for (const rule of own) {
      for (const seed of SEEDS) {
        const given = sample(rule, seed)
        const found = find(given)
        const surest = found.filter((match) => match.issuer !== null)

        assert.deepEqual(
          surest.map((match) => match.rule),
          [rule.id],
          `${rule.id}, seed ${seed}`,
        )
        assert.ok(given.text.includes(surest[0]?.secret ?? '\0'), rule.id)
        assert.deepEqual(find(given, plain), found, rule.id)
      }
    }
  })

  test(`${family}: what only shows a form, or breaks off in it, is not found`, () => {
    for (const rule of own) {
      for (const [how, near] of nearMisses(rule)) {
        const found = find(near).filter((match) => match.rule === rule.id)

        assert.deepEqual(
          found.map((match) => match.secret),
          [],
          `${rule.id}: ${how}`,
        )
      }
    }
  })
}

/** What is like a sample and is none: a mark in place of its random part, its secret cut in the middle, and for checked formats one changed letter. */
function nearMisses(rule: Rule): [string, Sample][] {
  const given = sample(rule, 9)
  const [match] = find(given).filter((one) => one.rule === rule.id)
  assert.ok(match, rule.id)
  const at = given.text.indexOf(match.secret)
  const swap = (secret: string): Sample => ({
    ...given,
    text: given.text.slice(0, at) + secret + given.text.slice(at + match.secret.length),
  })
  const half = Math.ceil(match.secret.length / 2)
  const masked = match.secret.slice(0, Math.min(8, half)) + 'x'.repeat(match.secret.length - Math.min(8, half))
  const misses: [string, Sample][] = [['masked', swap(masked)]]
  if (rule.files) return [...misses, ['in another file', { ...given, path: 'notes.txt' }]]
  // A password may have any length, down to a few characters: half of one is one.
  const hasAnyLength = /\[\^[^\]]*\\s/.test(rule.pattern.source) || hasNoLength.has(rule.id)
  if (!hasAnyLength) misses.push(['cut', { ...given, text: given.text.slice(0, at + Math.min(half, 12)) }])
  return misses
}

/** Opaque values of no fixed length: twelve characters may be whole. */
const hasNoLength = new Set([
  'kubernetes-secret',
  'filezilla-password',
  'npmrc-password',
  'wp-config-secret',
  'basic-authorization',
])

const flip = (text: string, at: number) => text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)

for (const id of ['github-token', 'github-app-token', 'npm-token', 'age-secret-key', 'pypi-token']) {
  test(`${id}: one changed character and the checksum or structure fails, so nothing is reported`, () => {
    const rule = rules.find((one) => one.id === id)
    assert.ok(rule)
    const given = sample(rule, 3)
    const at = id === 'age-secret-key' ? 30 : id === 'pypi-token' ? 6 : 12
    const broken =
      id === 'age-secret-key'
        ? given.text.slice(0, at) + (given.text[at] === 'Q' ? 'P' : 'Q') + given.text.slice(at + 1)
        : flip(given.text, at)

    assert.equal(find(given)[0]?.verdict.validity, 'verified-offline')
    assert.deepEqual(find({ ...given, text: broken }), [])
  })
}

test('with the prefilter and without it the same is found, in samples among random bytes and pieces of themselves', () => {
  const off = openEngine(rules, { isPlain: true, isByLiteral: true })
  const byLiteral = openEngine(rules, { isByLiteral: true })
  const nameless = openEngine(rules)
  const random = seeded(11)
  const pick = (most: number) => Math.floor(random() * most)
  for (let round = 0; round < 60; round += 1) {
    const parts = Array.from({ length: 40 }, () => {
      const rule = rules[pick(rules.length)]
      assert.ok(rule)
      const text = Buffer.from(sample(rule, pick(1000)).text, 'utf8')
      const noise = Buffer.from(Array.from({ length: pick(60) }, () => pick(256)))
      // Whole, cut at either end, in upper case, or with one byte changed.
      const from = [0, 0, pick(text.length)][pick(3)] ?? 0
      const cut = text.subarray(from, [text.length, from + pick(200)][pick(2)])
      if (pick(4) === 0 && cut.length > 0) cut[pick(cut.length)] = pick(256)
      const shown = pick(8) === 0 ? Buffer.from(cut.toString('latin1').toUpperCase(), 'latin1') : cut
      return Buffer.concat([noise, shown, Buffer.from(['', ' ', '\n', '"', '='][pick(5)] ?? '')])
    })
    const bytes = Buffer.concat(parts)
    const place = { path: ['a.ts', '.netrc', '.pgpass', 'rclone.conf'][round % 4] ?? 'a', now, withNames: true }
    const found = engine.find(bytes, place)

    assert.deepEqual(found, off.find(bytes, place))
    assert.deepEqual(found, byLiteral.find(bytes, place))
    assert.deepEqual(found, plain.find(bytes, place))
    const unnamed = { ...place, withNames: false }
    assert.deepEqual(nameless.find(bytes, unnamed), off.find(bytes, unnamed))
    assert.ok(found.length > 0)
  }
})

test('a short name of an issuer counts where a part of a name begins, not inside of a word', () => {
  const value = maker(seeded(4))('00{a:40}')
  const rulesFound = (text: string) => find({ path: 'a', text }).map(({ rule }) => rule)

  for (const name of ['okta', 'OKTA_TOKEN', 'my_okta_token', 'myOktaToken']) {
    assert.deepEqual(rulesFound(`${name} = "${value}"`), ['okta-token'], name)
  }
  for (const name of ['rookTable', 'booktable', 'oKTA']) assert.deepEqual(rulesFound(`${name} = "${value}"`), [], name)
})

test('an access key id names its account; one above twelve digits was never issued', () => {
  const [found] = find({ path: 'a', text: ['id = AKIA', 'Q2ABCDEFGH2PQRSW'].join('') })

  assert.match(found?.verdict.detail ?? '', /^account \d{12}$/)
  assert.deepEqual(find({ path: 'a', text: ['id = AKIA', '7777777W2A4PQRSW'].join('') }), [])
})

const jwtOf = (claims: object, alg = 'HS256') =>
  [{ alg, typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')

test('a token says by itself that it is over, when it ends, or that it never does', () => {
  const signed = (claims: object) => find({ path: 'a', text: `t=${jwtOf(claims)}.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gF` })

  assert.deepEqual(signed({ sub: 'orders', exp: 1_700_000_000 })[0]?.verdict, {
    validity: 'expired',
    detail: 'expired 2023-11-14',
  })
  assert.equal(signed({ sub: 'orders', exp: 1_800_000_000 })[0]?.verdict.detail, 'expires 2027-01-15')
  assert.equal(signed({ sub: 'orders' })[0]?.verdict.detail, 'never expires')
  assert.equal(signed({ sub: 'orders', exp: 1e300 })[0]?.verdict.detail, 'expires 9999-12-31')
  assert.deepEqual(find({ path: 'a', text: `${jwtOf({ sub: 'orders' }, 'none')}.dBjftJeZ4CVPmB92K27u` }), [])
})

test('a key says whether it is under a passphrase', () => {
  const validity = (id: string) => {
    const rule = rules.find((one) => one.id === id)
    assert.ok(rule)
    return find(sample(rule, 1))[0]?.verdict.validity
  }

  assert.equal(validity('pkcs8-private-key'), 'verified-offline')
  assert.equal(validity('encrypted-private-key'), 'encrypted')
  assert.equal(validity('openssh-private-key'), 'verified-offline')
})

test('what stands behind an escape in a string is found; what continues a word is not', () => {
  const rule = rules.find(({ id }) => id === 'github-token')
  assert.ok(rule)
  const { text } = sample(rule, 5)

  for (const before of ['\\n', '%3D', '\\u003d', '"', '='])
    assert.equal(find({ path: 'a', text: before + text }).length, 1, before)
  assert.deepEqual(find({ path: 'a', text: `Z${text}` }), [])
  assert.deepEqual(find({ path: 'a', text: `${text}Z` }), [])
})

/** Nothing that repeats may repeat without bound, and nothing that repeats may hold something else that does, beyond a few times. */
function unbounded(source: string): string[] {
  const bare = source.replaceAll(/\\./g, '_').replaceAll(/\[(?:\^)?\]?[^\]]*\]/g, 'C')
  return [...bare.matchAll(/[*+]|\{\d+,\}/g)].map(([text]) => text)
}

test('no pattern has a quantifier without an upper bound', () => {
  for (const { id, pattern, before } of rules) {
    assert.deepEqual(unbounded(pattern.source), [], id)
    assert.deepEqual(unbounded(before?.source ?? ''), [], id)
  }
  assert.deepEqual(unbounded('(?:a+)[+*]\\+b{2,}'), ['+', '{2,}'])
})

test('hostile text costs in proportion to its length: each further part costs what the one before did', () => {
  const usual = 640
  const hostile = [
    ...rules.flatMap(({ anchors, spanBytes }) => anchors.map((piece) => ({ piece, span: spanBytes ?? usual }))),
    ...['password = "', 'token=', 'secret:"', 'postgres://a:', 'eyJh.eyJh.'].map((piece) => ({ piece, span: 6000 })),
  ]
  for (const { piece, span } of hostile) {
    const cost = (times: number) => {
      const before = { ...engine.work }
      find({ path: '.netrc', text: piece.repeat(times) })
      return {
        candidates: engine.work.candidates - before.candidates,
        bytes: engine.work.bytesLookedAt - before.bytesLookedAt,
      }
    }
    const times = Math.ceil((span * 1.1) / piece.length)
    const [one, two, three] = [cost(times), cost(2 * times), cost(3 * times)]

    assert.ok(three.candidates - two.candidates <= 1.1 * (two.candidates - one.candidates) + 16, piece)
    assert.ok(three.bytes - two.bytes <= 1.1 * (two.bytes - one.bytes) + 16 * span, piece)
    assert.ok(three.bytes <= three.candidates * 16_384, piece)
  }
})

test('the page of the scanner counts its formats', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/scanner.md'), 'utf8')
  const counted = [...page.matchAll(/^\| `([a-z]+)` \| (\d+) \|$/gm)].map(([, family, count]) => [
    family,
    Number(count),
  ])

  assert.deepEqual(
    counted,
    Object.entries(families).map(([family, own]) => [family, own.length]),
  )
  const changes = readFileSync(join(import.meta.dirname, '../../../CHANGELOG.md'), 'utf8')
  assert.ok(changes.includes(`finds ${rules.length} formats of credentials`))
})
