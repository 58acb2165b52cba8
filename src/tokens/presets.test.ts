import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Expected, ExpectedClaim, Preset } from './contract.ts'
import { isExpected, PRESET_FACTS, refuseWide } from './presets.ts'

test('attack: a rule names somebody, and never everybody', () => {
  const wide: [Preset, Expected, ExpectedClaim[]?][] = [
    ['github-actions', { startsWith: 'repo:' }],
    ['github-actions', { startsWith: 'repo:a/' }],
    ['github-actions', { startsWith: 'repo:::::::::::' }],
    ['github-actions', { is: '*' }],
    ['github-actions', { is: 'repo:acme/*' }],
    ['github-actions', { is: 'repo:acme/sho?' }],
    // It is also the beginning of `repo:acme/shop-of-somebody-else`.
    ['github-actions', { startsWith: 'repo:acme/shop' }],
    ['github-actions', { is: 'acme/shop' }],
    ['kubernetes', { startsWith: 'system:serviceaccount:' }],
    ['gitlab-ci', { startsWith: 'project_path:' }],
    ['buildkite', { startsWith: 'organization:' }],
    ['circleci', { startsWith: 'org/' }],
    ['oidc', { startsWith: 'https://' }],
    ['oidc', { is: 'somebody' }, [{ claim: 'sub', value: { is: 'x' } }]],
    ['oidc', { is: 'somebody' }, [{ claim: 'ref', value: { startsWith: 'refs/' } }]],
    ['oidc', { is: 'somebody' }, [{ claim: 'ref', value: { is: '*' } }]],
  ]
  for (const [preset, subject, claims = []] of wide) {
    assert.throws(() => refuseWide(preset, subject, claims), { slug: 'rule-too-wide' }, JSON.stringify(subject))
  }
})

test('the subjects that the presets are for can be named', () => {
  const named: [Preset, Expected][] = [
    ['github-actions', { is: 'repo:acme/shop:environment:production' }],
    ['github-actions', { startsWith: 'repo:acme/shop:ref:' }],
    ['gitlab-ci', { is: 'project_path:acme/shop:ref_type:branch:ref:main' }],
    ['kubernetes', { is: 'system:serviceaccount:payments:migrator' }],
    ['buildkite', { startsWith: 'organization:acme:pipeline:shop:ref:refs/heads/main:' }],
    ['circleci', { startsWith: 'org/0a1b2c3d/project/4e5f6a7b/' }],
  ]
  for (const [preset, subject] of named) {
    refuseWide(preset, subject, [])
    const [text = ''] = Object.values(subject)
    assert.ok(text.startsWith(PRESET_FACTS[preset].fixed))
  }
})

test('what is expected exactly is met by nothing else, and a beginning only by what begins so', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (sub, other) => {
      const exactly = isExpected({ sub }, { subject: { is: other }, claims: [] })
      const begins = isExpected({ sub }, { subject: { startsWith: other }, claims: [] })
      assert.equal(exactly, sub === other)
      assert.ok(!begins || sub.startsWith(other))
    }),
  )
})

test('a claim is found by its name or by the way to it, and nowhere else', () => {
  const claims = {
    sub: 's',
    'kubernetes.io': { namespace: 'payments', serviceaccount: { uid: 'u-1' } },
    'a/b': 'flat',
    a: { b: 'nested' },
    run: 7,
    isMain: true,
    list: ['x'],
  }
  const has = (claim: string, is: string) =>
    isExpected(claims, { subject: { is: 's' }, claims: [{ claim, value: { is } }] })

  assert.ok(
    has('kubernetes.io/serviceaccount/uid', 'u-1') && has('run', '7') && has('isMain', 'true') && has('a/b', 'flat'),
  )
  for (const [claim, is] of [
    ['a/b', 'nested'],
    ['kubernetes.io', '[object Object]'],
    ['kubernetes.io/serviceaccount/uid/length', '3'],
    ['list', 'x'],
    ['list/0', 'x'],
    ['__proto__/sub', 's'],
    ['constructor/name', 'Object'],
    ['missing', 'undefined'],
  ] as const) {
    assert.ok(!has(claim, is), claim)
  }
})
