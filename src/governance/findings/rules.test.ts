import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { AccountFacts, CredentialFacts, IdentityFacts, TrustFacts } from './facts.ts'
import { CONTROLS_OF, FRAMEWORKS, OWASP } from './frameworks.ts'
import type { Rule, Verdict } from './rule.ts'
import { ALL_RULES, RULES, ruleOf } from './rules/index.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const ago = (days: number) => new Date(NOW.getTime() - days * 86_400_000)
const subject = { id: '0190a000-0000-7000-8000-000000000001', name: 'it', identityId: null, goneAt: null, now: NOW }

const identity: IdentityFacts = {
  ...subject,
  kind: 'workload',
  state: 'active',
  tier: 2,
  ownerState: 'attested',
  ownerIsActive: true,
  expiresAt: null,
  createdAt: ago(400),
  liveTokens: 0,
  standing: [],
  lastActAt: ago(1),
  lastSeenUseAt: null,
}
const account: AccountFacts = {
  ...subject,
  mode: 'seen',
  tier: 2,
  seenAt: ago(1),
  claimedBy: 'workload',
  identityId: subject.id,
  canLogIn: true,
  isBuiltIn: false,
  isSuperuser: false,
  createsRoles: false,
  isWatchedLong: true,
  isWatched: true,
  lastUsedAt: ago(3),
  firstSeenAt: ago(400),
  outside: [],
  isRotated: false,
}
const credential: CredentialFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  type: 'password',
  state: 'active',
  createdAt: null,
  rotatedAt: null,
  expiresAt: ago(-100),
  neverExpires: false,
  strength: 'strong',
  strengthWhy: [],
  hasFingerprint: true,
  holders: ['app'],
  environments: ['production'],
  isAllWhole: true,
  heldBy: null,
  isInNewest: null,
  confidence: null,
  inCode: [],
  liveAs: [],
  codeRead: 'whole',
}
const coded = { heldBy: 'source', isInNewest: true, confidence: 'high', state: null } as const
const trust: TrustFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  nativeKind: 'hba-rule',
  method: 'scram-sha-256',
  connection: 'hostssl',
  isWildcard: true,
  where: null,
}
const used = (more: object = {}) => ({ at: ago(2), agent: 'app 1.2', address: '10.0.0.7', byHuman: false, ...more })
const certificate = { type: 'certificate' } as const

/** What each rule says: something wrong, nothing wrong, and that it cannot tell. An absent row is one that the record always answers. */
type Cases<Facts> = Readonly<
  Record<string, { found: Partial<Facts>[]; clear: Partial<Facts>[]; unknown?: Partial<Facts>[] }>
>

const ON_IDENTITIES: Cases<IdentityFacts> = {
  orphaned: {
    found: [
      { ownerState: 'none', ownerIsActive: null },
      { ownerState: 'lost', ownerIsActive: false },
      { ownerIsActive: false },
    ],
    clear: [{}, { kind: 'human', ownerState: 'none' }, { state: 'retired', ownerState: 'lost' }],
    unknown: [{ ownerState: 'suggested' }],
  },
  'past-its-end': {
    found: [
      { state: 'retired', standing: ['app@db'] },
      { expiresAt: ago(1), liveTokens: 1 },
    ],
    clear: [
      { standing: ['app@db'], liveTokens: 2 },
      { state: 'retired' },
      { expiresAt: ago(-1), standing: ['app@db'] },
    ],
  },
  'stale-identity': {
    found: [{ lastActAt: ago(91) }, { lastActAt: null }],
    clear: [{}, { lastActAt: null, lastSeenUseAt: ago(89) }, { kind: 'human', lastActAt: null }],
    unknown: [{ createdAt: ago(10), lastActAt: null }],
  },
}
const ON_ACCOUNTS: Cases<AccountFacts> = {
  'standing-privilege': {
    found: [{ isSuperuser: true }, { createsRoles: true }],
    clear: [{}, { isSuperuser: true, claimedBy: 'human' }, { isSuperuser: true, canLogIn: false }, { mode: 'lease' }],
    unknown: [{ seenAt: null }, { isSuperuser: null }, { isSuperuser: true, claimedBy: null, identityId: null }],
  },
  'out-of-band-account': {
    found: [{ identityId: null, claimedBy: null }],
    clear: [{}, { identityId: null, isBuiltIn: true }, { identityId: null, canLogIn: false }],
    unknown: [{ identityId: null, seenAt: null }],
  },
  'stale-account': {
    found: [{ lastUsedAt: ago(91) }, { lastUsedAt: null }],
    clear: [{}, { lastUsedAt: ago(89), isWatchedLong: false }, { lastUsedAt: null, canLogIn: false }],
    unknown: [
      { lastUsedAt: null, isWatchedLong: false },
      { lastUsedAt: ago(200), isWatchedLong: false },
      { lastUsedAt: null, firstSeenAt: ago(20) },
    ],
  },
  'unbrokered-privilege': {
    found: [
      { tier: 1, outside: [used()] },
      { isSuperuser: true, outside: [used()], isWatched: false },
    ],
    clear: [{ tier: 1 }, { outside: [used()] }],
    unknown: [
      { tier: 1, isWatched: false },
      { isSuperuser: null, outside: [used()] },
    ],
  },
  'human-use': {
    found: [{ outside: [used(), used({ agent: 'psql' })] }, { outside: [used({ byHuman: true })] }],
    clear: [{}, { outside: [used()] }, { claimedBy: 'human', outside: [used({ agent: 'psql' })] }],
    unknown: [
      { isWatched: false },
      { outside: [used({ agent: null })] },
      { claimedBy: null, outside: [used({ agent: 'psql' })] },
    ],
  },
  'unrotated-login': {
    found: [{ mode: 'static' }],
    clear: [{}, { mode: 'static', isRotated: true }, { mode: 'lease' }],
  },
}
const ON_CREDENTIALS: Cases<CredentialFacts> = {
  'long-lived': {
    found: [
      { neverExpires: true, expiresAt: null },
      { expiresAt: ago(-366), createdAt: ago(400) },
    ],
    clear: [{}, { neverExpires: true, expiresAt: null, type: 'none' }, { neverExpires: true, state: 'revoked' }],
    unknown: [{ expiresAt: null }, { isWhole: false }, { neverExpires: true, isPresent: false }],
  },
  'weak-authentication': {
    found: [
      { strength: 'deprecated', strengthWhy: ['MD5'] },
      { strength: 'weak', isWhole: false },
    ],
    clear: [{}, { strength: 'weak', type: 'none' }],
    unknown: [{ strength: null }, { isWhole: false }, { strength: 'weak', isPresent: false }],
  },
  'shared-credential': {
    found: [{ holders: ['a', 'b'] }, { holders: ['a', 'b'], isAllWhole: false }],
    clear: [{}],
    unknown: [{ hasFingerprint: false, holders: [] }, { isAllWhole: false }],
  },
  'across-environments': {
    found: [{ environments: ['production', 'test'] }],
    clear: [{}],
    unknown: [{ hasFingerprint: false, environments: [] }, { isAllWhole: false }],
  },
  'legacy-account-token': {
    found: [{ type: 'service-account-token', neverExpires: true, expiresAt: null }],
    clear: [
      {},
      { type: 'service-account-token', expiresAt: null },
      { type: 'service-account-token', neverExpires: true, state: 'inactive' },
    ],
    unknown: [
      { type: 'service-account-token', expiresAt: null, strength: null },
      { type: 'service-account-token', neverExpires: true, isPresent: false },
    ],
  },
  'hard-coded': {
    found: [
      coded,
      { ...coded, isInNewest: false },
      { ...coded, isInNewest: null, isWhole: false },
      { ...coded, confidence: 'low' },
    ],
    clear: [{}, { heldBy: 'vault' }, { ...coded, state: 'expired' }],
    unknown: [
      { ...coded, isPresent: false },
      { ...coded, state: 'expired', isWhole: false },
    ],
  },
  'hard-coded-and-live': {
    found: [{ inCode: ['a token in app.env of shop'] }, { inCode: ['a token in app.env of shop'], codeRead: 'partly' }],
    clear: [
      {},
      { ...coded, inCode: ['itself'] },
      { heldBy: 'vault', inCode: ['a token'] },
      { state: 'revoked', inCode: ['a token in app.env of shop'] },
    ],
    unknown: [
      { hasFingerprint: false },
      { codeRead: 'none' },
      { codeRead: 'partly' },
      { inCode: ['a token'], isPresent: false },
    ],
  },
  'vaulted-and-in-code': {
    found: [
      { heldBy: 'vault', inCode: ['a token in app.env of shop'] },
      { heldBy: 'ci', state: null, inCode: ['a token in app.env of shop'] },
    ],
    clear: [{}, { heldBy: 'vault' }, { inCode: ['a token in app.env of shop'] }],
    unknown: [
      { heldBy: 'vault', hasFingerprint: false },
      { heldBy: 'vault', codeRead: 'none' },
      { heldBy: 'ci', codeRead: 'partly' },
    ],
  },
  'expiring-certificate': {
    found: [
      { ...certificate, expiresAt: ago(-29) },
      { ...certificate, expiresAt: ago(1), state: 'expired' },
    ],
    clear: [{ ...certificate }, { expiresAt: ago(-1) }],
    unknown: [
      { ...certificate, expiresAt: null },
      { ...certificate, isWhole: false },
    ],
  },
}
const action = { nativeKind: 'pipeline-action', where: 'acme/shop: ci.yml uses actions/checkout@v4' } as const
const trigger = { nativeKind: 'pipeline-trigger', method: 'runs-proposed-code' } as const
const ON_TRUST: Cases<TrustFacts> = {
  'unpinned-action': {
    found: [action, { ...action, where: null }],
    clear: [{}, { ...action, isWildcard: false }],
    unknown: [
      { ...action, isWildcard: false, isWhole: false },
      { ...action, isPresent: false },
    ],
  },
  'proposed-code': {
    found: [trigger, { ...trigger, method: 'runs-proposed-text' }],
    clear: [{}, { ...trigger, method: 'runs-own-code' }],
    unknown: [
      { ...trigger, method: null },
      { ...trigger, isPresent: false },
    ],
  },
  'weak-login-rule': {
    found: [{ method: 'trust', connection: 'host' }, { method: 'md5' }, { method: 'password', connection: 'local' }],
    clear: [{}, { nativeKind: 'something-else', method: 'trust' }],
    unknown: [{ method: null }, { isWhole: false }, { method: 'trust', isPresent: false }],
  },
}

function each<Facts>(rules: readonly Rule<Facts>[], cases: Cases<Facts>, base: Facts): void {
  for (const rule of rules) {
    const of = cases[rule.id] ?? assert.fail(`${rule.id} has no case`)
    assert.ok(of.found.length > 0 && of.clear.length > 0, rule.id)
    for (const is of ['found', 'clear', 'unknown'] as const) {
      for (const more of of[is] ?? []) {
        test(`${rule.id} is ${is} of ${JSON.stringify(more)}`, () => {
          const verdict: Verdict = rule.judge({ ...base, ...more })
          assert.equal(verdict.is, is, JSON.stringify(verdict))
          if (verdict.is === 'found') assert.ok(verdict.evidence.length > 0)
          // Evidence that changed by itself every day would be news every day.
          const later = rule.judge({ ...base, ...more, now: new Date(NOW.getTime() + 60_000) })
          if (verdict.is === 'found') assert.deepEqual({ ...later, readAt: 0 }, { ...verdict, readAt: 0 })
        })
      }
    }
  }
}
each(RULES.identity, ON_IDENTITIES, identity)
each(RULES.account, ON_ACCOUNTS, account)
each(RULES.credential, ON_CREDENTIALS, credential)
each(RULES.trust, ON_TRUST, trust)

test('a combination is found where all of it is, and gone only when a part of it is proven to be', () => {
  const [abandoned, guessable] = RULES.combined
  assert.ok(abandoned && guessable)
  const of = (rule: Rule<never>, ...rules: string[]) =>
    (rule as Rule<object>).judge({ ...subject, rules: new Set(rules) }).is

  assert.equal(of(abandoned, 'orphaned', 'standing-privilege', 'long-lived'), 'found')
  assert.equal(of(abandoned, 'orphaned', 'standing-privilege'), 'clear')
  assert.equal(of(abandoned, 'standing-privilege', 'long-lived'), 'clear')
  assert.equal(of(guessable, 'standing-privilege', 'weak-authentication'), 'found')
  assert.equal(of(guessable, 'weak-authentication', 'shared-credential'), 'clear')
})

test('how grave it is follows what it opens', () => {
  const severity = (verdict: Verdict | undefined) => (verdict?.is === 'found' ? verdict.severity : undefined)
  const [orphaned] = RULES.identity
  const [weak] = RULES.trust

  assert.equal(severity(orphaned?.judge({ ...identity, ownerState: 'lost', tier: 0 })), 'high')
  assert.equal(severity(orphaned?.judge({ ...identity, ownerState: 'lost' })), 'medium')
  assert.equal(severity(weak?.judge({ ...trust, method: 'trust', connection: 'host' })), 'critical')
  assert.equal(severity(weak?.judge({ ...trust, method: 'md5', connection: 'local' })), 'low')
})

test('every rule says why, by what, how to put it right and what prevents it, under an id of its own', () => {
  assert.equal(new Set(ALL_RULES.map(({ id }) => id)).size, ALL_RULES.length)
  for (const { id, owasp, title, why, needs, fix, control } of ALL_RULES) {
    assert.match(id, /^[a-z]+(-[a-z]+)*$/)
    assert.ok(owasp in OWASP, id)
    for (const text of [title, why, needs, fix, control]) assert.ok(text.length > 10 && text.length <= 500, id)
    assert.equal(ruleOf(id)?.title, title)
  }
})

test('the page has every rule in its table, with its risk and what it says, and no other', () => {
  const page = readFileSync(new URL('../../../docs/findings.md', import.meta.url), 'utf8')
  const told = [...page.matchAll(/^\| `([a-z-]+)` *\| (NHI\d+:2025) *\| (.+?) *\| (.+?) *\|$/gm)].map((row) =>
    row.slice(1),
  )

  assert.deepEqual(
    told,
    ALL_RULES.map(({ id, owasp, title, needs }) => [id, owasp, title, needs]),
  )
})

test('ids of frameworks are those of the versions that are named', () => {
  const forms: Record<keyof typeof FRAMEWORKS, RegExp> = {
    // CSF 2.0 has PR.AA where 1.1 had PR.AC, and two digits.
    'nist-csf-2.0': /^(GV|ID|PR|DE|RS|RC)\.(?!AC\b)[A-Z]{2}-\d{2}$/,
    'nist-800-53-r5': /^(AC|IA|PS|SR|AU|SC|SI|CM)-\d{1,2}(\(\d{1,2}\))?$/,
    'nist-800-207': /^tenet-[1-7]$/,
    'pci-dss-4.0.1': /^(7\.2\.5(\.1)?|8\.2\.[27]|8\.6\.[123])$/,
    'iso-27001-2022': /^(5\.([1-9]|[12]\d|3[0-7])|8\.([1-9]|[12]\d|3[0-4]))$/,
    'soc-2': /^CC[1-9]\.\d$/,
  }
  assert.deepEqual(
    Object.keys(OWASP),
    Array.from({ length: 10 }, (_, at) => `NHI${at + 1}:2025`),
  )
  for (const [owasp, controls] of Object.entries(CONTROLS_OF)) {
    assert.deepEqual(Object.keys(controls), Object.keys(FRAMEWORKS), owasp)
    for (const [framework, ids] of Object.entries(controls)) {
      assert.ok(ids.length > 0, `${owasp} in ${framework}`)
      for (const id of ids) assert.match(id, forms[framework as keyof typeof forms], `${owasp} in ${framework}`)
    }
  }
  // Each of these stood in texts that this product began from, and is wrong.
  assert.doesNotMatch(JSON.stringify([CONTROLS_OF, ALL_RULES]), /PR\.AC-|"SC-3"|GOV-\d|NHI-0\d|NHI8:2024/)
  assert.equal(OWASP['NHI3:2025'], 'Vulnerable Third-Party NHI')
  assert.ok(CONTROLS_OF['NHI5:2025']['nist-csf-2.0'].includes('PR.AA-05'))
})
