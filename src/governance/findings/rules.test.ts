import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { account, identity, NOW, ON_ACCOUNTS, ON_IDENTITIES, subject, type Cases } from './facts/cases.fixture.ts'
import { CONTROLS_OF, FRAMEWORKS, OWASP } from './frameworks.ts'
import * as observed from './facts/observed-cases.fixture.ts'
import type { Rule, Verdict } from './rule.ts'
import { ON_TRUST, trust } from './facts/trust-cases.fixture.ts'
import { ALL_RULES, RULES, ruleOf } from './rules/index.ts'

/** What the record answers by itself: of these there is nothing that could not be seen. */
const OF_THE_RECORD = new Set(['past-its-end', 'unrotated-login', 'loose-trust-rule'])

function each<Facts>(rules: readonly Rule<Facts>[], cases: Cases<Facts>, base: Facts): void {
  for (const rule of rules) {
    const of = cases[rule.id] ?? assert.fail(`${rule.id} has no case`)
    assert.ok(of.found.length > 0 && of.clear.length > 0, rule.id)
    assert.equal((of.unknown ?? []).length === 0, OF_THE_RECORD.has(rule.id), `${rule.id}: what it cannot tell`)
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
each(RULES.principal, observed.ON_PRINCIPALS, observed.principal)
each(RULES.credential, observed.ON_CREDENTIALS, observed.credential)
each(RULES.keeping, observed.ON_KEEPING, observed.keeping)
each(RULES.trust, ON_TRUST, trust)
each(RULES.grant, observed.ON_GRANTS, observed.grant)
each(RULES.trustRule, observed.ON_TRUST_RULES, observed.trustRule)
each(RULES.tool, observed.ON_TOOLS, observed.tool)

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

test('what is bad by itself is found as worse where it meets something else', () => {
  const of = (id: string, ...rules: string[]) => {
    const rule = RULES.combined.find((each) => each.id === id) ?? assert.fail(id)
    return rule.judge({ ...subject, rules: new Set(rules) }).is
  }

  assert.equal(of('lasting-leak', 'reaches-tier-zero', 'long-lived', 'hard-coded'), 'found')
  assert.equal(of('lasting-leak', 'reaches-tier-zero', 'long-lived', 'outside-store'), 'found')
  assert.equal(of('lasting-leak', 'reaches-tier-zero', 'long-lived'), 'clear')
  assert.equal(of('lasting-leak', 'long-lived', 'hard-coded'), 'clear')
  assert.equal(of('vendor-to-tier-zero', 'vendor-held', 'reaches-tier-zero'), 'found')
  assert.equal(of('vendor-to-tier-zero', 'vendor-held'), 'clear')
  assert.equal(of('open-door-to-tier-zero', 'loose-trust-rule', 'standing-privilege'), 'found')
  assert.equal(of('open-door-to-tier-zero', 'reaches-tier-zero'), 'clear')
  assert.equal(of('leftover-administrator', 'reaches-tier-zero', 'past-its-purpose'), 'found')
  assert.equal(of('leftover-administrator', 'past-its-purpose', 'stale-account'), 'clear')
})

test('a combination is found where every rule found something, and not where one that it stands on did not', () => {
  const ids = ALL_RULES.map(({ id }) => id)
  for (const rule of RULES.combined) {
    const without = (missing: string) =>
      rule.judge({ ...subject, rules: new Set(ids.filter((id) => id !== missing)) }).is
    assert.equal(without('none'), 'found', rule.id)
    assert.ok(
      ids.some((id) => without(id) === 'clear'),
      rule.id,
    )
  }
})

test('a limit of time is kept to the millisecond', () => {
  const DAY_MS = 86_400_000
  const before = (days: number, ms: number) => new Date(NOW.getTime() - days * DAY_MS + ms)
  const after = (days: number, ms: number) => new Date(NOW.getTime() + days * DAY_MS + ms)
  const of = <Facts>(rules: readonly Rule<Facts>[], id: string, facts: Facts) =>
    (rules.find((rule) => rule.id === id) ?? assert.fail(id)).judge(facts).is
  const { credential } = observed
  const ends = (expiresAt: Date) =>
    of(RULES.credential, 'long-lived', { ...credential, neverExpires: false, expiresAt })
  const certificate = { ...credential, type: 'certificate', neverExpires: false }
  const runsOut = (expiresAt: Date) => of(RULES.credential, 'expiring-certificate', { ...certificate, expiresAt })
  const secret = { ...credential, type: 'client-secret', neverExpires: true, expiresAt: null, rotatedAt: null }
  const made = (createdAt: Date) => of(RULES.credential, 'overdue-secret', { ...secret, createdAt })
  const used = (lastUsedAt: Date) => of(RULES.account, 'stale-account', { ...account, lastUsedAt })
  const acted = (lastActAt: Date) => of(RULES.identity, 'stale-identity', { ...identity, lastActAt })

  assert.deepEqual([ends(after(365, 0)), ends(after(365, 1))], ['clear', 'found'])
  assert.deepEqual([runsOut(after(30, 1)), runsOut(after(30, 0))], ['clear', 'found'])
  assert.deepEqual([made(before(180, 1)), made(before(180, 0))], ['clear', 'found'])
  assert.deepEqual([used(before(90, 1)), used(before(90, 0))], ['clear', 'found'])
  assert.deepEqual([acted(before(90, 1)), acted(before(90, 0))], ['clear', 'found'])
})

test('what the practice names as wrong has a rule each', () => {
  const named = {
    orphaned: ['orphaned'],
    stale: ['stale-identity', 'stale-account'],
    'over-privileged': ['standing-privilege', 'reaches-tier-zero', 'unclaimed-administrator', 'wildcard-right'],
    'long-lived': ['long-lived', 'overdue-secret', 'lasting-grant'],
    'hard-coded': ['hard-coded', 'hard-coded-and-live'],
    'vaulted and in code': ['vaulted-and-in-code'],
    'shared between applications': ['shared-credential'],
    'shared by a person and a job': ['person-and-job'],
    'reused across environments': ['across-environments'],
    'human use of a machine identity': ['human-use'],
    'weak authentication': ['weak-authentication', 'weak-login-rule'],
    'loose federation trust': ['loose-federation', 'loose-role-trust', 'loose-provider', 'loose-trust-rule'],
    'made outside the ownership process': ['out-of-band-account'],
    'break-glass used by automation': ['break-glass-automated'],
    'unbrokered privileged use': ['unbrokered-privilege'],
    'vendor-held': ['vendor-held'],
    'expiring certificate': ['expiring-certificate'],
    'secret outside an approved store': ['outside-store'],
    'identity past its purpose': ['past-its-purpose', 'past-its-end'],
    'no revocation path': ['no-revocation-path'],
  }
  for (const id of Object.values(named).flat()) assert.ok(ruleOf(id), id)
  // Every risk of the ten has a rule too.
  assert.deepEqual(new Set(ALL_RULES.map(({ owasp }) => owasp)), new Set(Object.keys(OWASP)))
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
