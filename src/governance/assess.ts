import type { Identity } from '../identities/contract.ts'
import type { CONTROLS, CREDENTIAL_TYPES, IdentityAssessment, PATHS } from './contract.ts'
import { rulesFor, type Rule, type Standard } from './standard.ts'

type Control = (typeof CONTROLS)[number]
type Path = (typeof PATHS)[number]
type CredentialType = (typeof CREDENTIAL_TYPES)[number]

/** A credential that proves the identity now. */
export type LiveCredential = { readonly type: Exclude<CredentialType, 'none'>; readonly createdAt: Date }

export type AssessedFacts = {
  readonly identity: Identity
  readonly credentials: readonly LiveCredential[]
  readonly now: Date
}

type Reading = { readonly status: 'met' | 'unmet' | 'unknown'; readonly fact: string }
type Read = (facts: AssessedFacts & { readonly path: Path; readonly credentialDays: number | null }) => Reading

/** What each path is for, and who belongs on it. */
const PATH_FACTS: Readonly<Record<Path, { readonly words: string; readonly kinds: readonly Identity['kind'][] }>> = {
  'approved-and-stepped-up': {
    words: 'A person acts for an approved purpose, approved by others and stepped up where policies ask for it.',
    kinds: ['human'],
  },
  'attested-and-policy-gated': {
    words:
      'A machine or workload proves where it runs; owner, purpose, ticket and window decide, with no person in the loop.',
    kinds: ['machine', 'workload'],
  },
  'decided-call-by-call': {
    words: 'An agent acts for a person, and each act is decided for both; changes are held for the owner team.',
    kinds: ['agent'],
  },
  'break-glass': {
    words: 'An isolated identity acts on a path of its own, recorded in full, that automation cannot use.',
    kinds: ['human'],
  },
}

/** Holds an identity against the standard. Pure: the same facts and standard give the same answer. */
export function assessAgainst(
  standard: Standard,
  facts: AssessedFacts,
): Omit<IdentityAssessment, 'reach' | 'findings'> {
  const { identity, credentials } = facts
  const types = credentialTypes(credentials)
  const rules = rulesFor(standard, { ...identity, credentials: types })
  const path = standard.paths[identity.profile]
  const credentialDays = leastDays(rules)
  const controls = controlsOf(rules).map(({ control, by }) => ({
    control,
    ...READERS[control]({ ...facts, path, credentialDays }),
    rules: by,
  }))
  const share = (statuses: readonly string[]) =>
    Math.floor((100 * controls.filter(({ status }) => statuses.includes(status)).length) / controls.length)
  const { id, name, kind, profile, tier, tierSet, tierReached, environment, traits } = identity
  return {
    identityId: id,
    identity: name,
    kind,
    profile,
    tier,
    tierSet,
    tierReached,
    environment,
    traits: [...traits],
    credentials: types,
    path,
    pathInWords: PATH_FACTS[path].words,
    isOnPath: isOnPath(identity, path),
    controls,
    score: share(['met']),
    scoreAtMost: share(['met', 'unknown']),
    standard: { version: standard.version, sha256: standard.sha256 },
  }
}

function isOnPath({ kind }: Identity, path: Path): boolean {
  return PATH_FACTS[path].kinds.includes(kind)
}

function credentialTypes(credentials: readonly LiveCredential[]): CredentialType[] {
  const types = [...new Set(credentials.map(({ type }) => type))].sort()
  return types.length === 0 ? ['none'] : types
}

/** To be on the path of one's profile is asked of everybody, whatever the standard says. */
function controlsOf(rules: readonly Rule[]): { readonly control: Control; readonly by: string[] }[] {
  const by = new Map<Control, string[]>([['own-path', []]])
  for (const rule of rules) for (const each of rule.requires) by.set(each, [...(by.get(each) ?? []), rule.id])
  return [...by].map(([control, ids]) => ({ control, by: ids.sort() })).sort((a, b) => (a.control < b.control ? -1 : 1))
}

function leastDays(rules: readonly Rule[]): number | null {
  const days = rules.flatMap(({ credentialDays }) => credentialDays ?? [])
  return days.length === 0 ? null : Math.min(...days)
}

const READERS: Readonly<Record<Control, Read>> = {
  'own-path': ({ identity, path }) =>
    either(
      isOnPath(identity, path),
      `a ${identity.kind} is of this path`,
      `a ${identity.kind} is not of the path that its profile ${identity.profile} has`,
    ),
  'owner-attested': ({ identity: { ownerState } }) =>
    either(ownerState === 'attested', 'its owner accepted', `its owner is ${ownerState}`),
  'owner-team': ({ identity: { ownerTeam } }) =>
    either(ownerTeam !== null, `the team ${ownerTeam ?? ''} answers for it`, 'no team answers for it'),
  'sponsor-named': ({ identity: { sponsorId } }) =>
    either(sponsorId !== null, 'a person answers for what it does', 'no person answers for what it does'),
  'purpose-recorded': ({ identity: { purpose } }) =>
    either(purpose !== null, 'it says what it is for', 'nothing says what it is for'),
  'service-named': ({ identity: { businessService } }) =>
    either(businessService !== null, 'it belongs to a business service', 'it belongs to no business service'),
  'review-dated': ({ identity: { reviewBy }, now }) => {
    if (reviewBy === null) return unmet('no review is due')
    return either(reviewBy > now, `it is reviewed by ${dayOf(reviewBy)}`, `its review was due by ${dayOf(reviewBy)}`)
  },
  'expiry-set': ({ identity: { expiresAt }, now }) => {
    if (expiresAt === null) return unmet('it never expires')
    return either(expiresAt > now, `it expires at ${dayOf(expiresAt)}`, `it expired at ${dayOf(expiresAt)}`)
  },
  'credential-bound': ({ credentials }) => {
    const bare = credentials.filter(({ type }) => type === 'token').length
    return either(
      bare === 0,
      'no live credential is a bare bearer token',
      `${bare} live credential(s) are bare bearer tokens`,
    )
  },
  'credential-young': ({ credentials, now, credentialDays }) => {
    if (credentialDays === null) return unknown('the standard says no age')
    const days = credentials.map(({ createdAt }) => (now.getTime() - createdAt.getTime()) / 86_400_000)
    const oldest = Math.floor(Math.max(0, ...days))
    return either(
      days.every((age) => age <= credentialDays),
      `no live credential is older than ${credentialDays} days`,
      `a live credential is ${oldest} days old, and may be ${credentialDays}`,
    )
  },
  'no-standing-credential': ({ credentials }) =>
    either(
      credentials.length === 0,
      'nothing proves it between uses',
      `${credentials.length} credential(s) stand ready`,
    ),
  'step-up': () => unknown('there is no way to show a fresh proof yet'),
  'reviewed-after-use': () => unknown('reviews of its uses are not recorded yet'),
}

function either(isMet: boolean, met: string, not: string): Reading {
  return isMet ? { status: 'met', fact: met } : unmet(not)
}

function unmet(fact: string): Reading {
  return { status: 'unmet', fact }
}

function unknown(fact: string): Reading {
  return { status: 'unknown', fact }
}

function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10)
}
