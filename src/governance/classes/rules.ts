import type { Classification } from './contract.ts'

/** What is known of a principal where it stands. Null is not known. */
export type ClassFacts = {
  readonly type: string
  readonly interactive: boolean | null
  readonly environment: Classification['environment']
  readonly identityKind: Classification['kind']
  readonly identityProfile: Classification['profile']
  /** Of the references to its credentials, and of what refers. */
  readonly hows: readonly string[]
  readonly consumers: readonly string[]
  readonly holders: readonly string[]
  readonly credentials: readonly string[]
  /** Whether it was seen used by a person, and by something else. */
  readonly usedByPerson: boolean
  readonly usedByProgram: boolean
  readonly isPublic: boolean | null
  readonly isWildcard: boolean
  readonly isAutonomous: boolean | null
  readonly administers: boolean
  /** Steps to tier 0; null where no way is seen. */
  readonly hops: number | null
  /** Whether the graph was looked at since it was seen. */
  readonly isLookedAt: boolean
  readonly service: string | null
}

type Gives = {
  readonly kind?: Classification['kind']
  readonly profile?: Classification['profile']
  readonly tier?: Classification['tier']
  readonly trait?: Classification['traits'][number]
}
export type ClassRule = {
  readonly id: string
  readonly gives: Gives
  readonly when: (facts: ClassFacts) => boolean
  readonly why: string
}

const PIPELINES = ['pipeline', 'workflow', 'ci-environment', 'repository', 'dag']
const some = (of: readonly string[], words: readonly string[]) => of.some((each) => words.includes(each))
const proves = ({ credentials }: ClassFacts, type: string) => credentials.includes(type)

/** The first rule that gives a kind, a profile or a tier counts; traits add up. No rule looks at a name. */
export const CLASS_RULES: readonly ClassRule[] = [
  ...(['human', 'machine', 'workload', 'agent'] as const).map((kind) => ({
    id: `record-${kind}`,
    gives: { kind },
    when: (facts: ClassFacts) => facts.identityKind === kind,
    why: 'the identity that it is has this kind in the record',
  })),
  {
    id: 'type-human',
    gives: { kind: 'human' },
    when: ({ type }) => type === 'human',
    why: 'its source says that it is a person',
  },
  {
    id: 'type-agent',
    gives: { kind: 'agent' },
    when: ({ type }) => type === 'agent',
    why: 'its source says that it is an agent',
  },
  {
    id: 'type-device',
    gives: { kind: 'machine' },
    when: ({ type }) => type === 'device',
    why: 'its source says that it is a device',
  },
  {
    id: 'type-workload',
    gives: { kind: 'workload' },
    when: ({ type }) => ['workload', 'service', 'app'].includes(type),
    why: 'its source says that it is a program',
  },
  {
    id: 'kept-by-programs',
    gives: { kind: 'workload' },
    when: ({ interactive, consumers, usedByPerson }) => interactive !== true && consumers.length > 0 && !usedByPerson,
    why: 'its credential is kept by what runs by itself, nobody logs in with it by hand, and no person was seen using it',
  },
  {
    id: 'profile-person',
    gives: { profile: 'person' },
    when: ({ type, identityKind }) => type === 'human' && identityKind !== 'workload',
    why: 'its source says that it is a person',
  },
  { id: 'profile-agent', gives: { profile: 'agent' }, when: ({ type }) => type === 'agent', why: 'it is an agent' },
  { id: 'profile-device', gives: { profile: 'device' }, when: ({ type }) => type === 'device', why: 'it is a device' },
  {
    id: 'held-by-vendor',
    gives: { profile: 'integration' },
    when: ({ holders }) => holders.includes('third-party'),
    why: 'somebody outside holds its credential',
  },
  {
    id: 'oauth-app',
    gives: { profile: 'integration' },
    when: (facts) => facts.type === 'app' && proves(facts, 'oauth-grant'),
    why: 'it is an application that acts by grants of others',
  },
  {
    id: 'kept-by-pipeline',
    gives: { profile: 'pipeline' },
    when: ({ consumers, hows }) => some(consumers, PIPELINES) || hows.includes('ci-secret'),
    why: 'its credential is kept by a pipeline',
  },
  {
    id: 'program',
    gives: { profile: 'service' },
    when: ({ type, consumers }) => ['workload', 'service', 'app'].includes(type) || consumers.length > 0,
    why: 'a program runs with it',
  },
  {
    id: 'reaches-tier-0',
    gives: { tier: 0 },
    when: ({ hops }) => hops !== null,
    why: 'it comes to tier 0 by what it is, may do or may read',
  },
  {
    id: 'administers',
    gives: { tier: 1 },
    when: ({ administers, environment, isLookedAt }) => isLookedAt && administers && environment === 'production',
    why: 'it administers something in production',
  },
  {
    id: 'production',
    gives: { tier: 2 },
    when: ({ environment, isLookedAt }) => isLookedAt && environment === 'production',
    why: 'it stands in production, and no way to tier 0 is seen',
  },
  {
    id: 'elsewhere',
    gives: { tier: 3 },
    when: ({ environment, isLookedAt }) => isLookedAt && environment !== null && environment !== 'production',
    why: 'it stands outside production, and no way to tier 0 is seen',
  },
  {
    id: 'logs-in-by-hand',
    gives: { trait: 'interactive' },
    when: ({ interactive }) => interactive === true,
    why: 'somebody can log in with it by hand',
  },
  {
    id: 'used-by-hand',
    gives: { trait: 'interactive' },
    when: ({ usedByPerson, type }) => usedByPerson && type !== 'human',
    why: 'a person was seen using it',
  },
  {
    id: 'decides-for-itself',
    gives: { trait: 'autonomous' },
    when: ({ type, isAutonomous }) => type === 'agent' || isAutonomous === true,
    why: 'its source says that it decides for itself',
  },
  {
    id: 'reached-by-strangers',
    gives: { trait: 'exposed' },
    when: ({ isPublic, isWildcard }) => isPublic === true || isWildcard,
    why: 'strangers reach it, or its trust names no one subject',
  },
  {
    id: 'shipped',
    gives: { trait: 'embedded' },
    when: ({ hows, holders }) => hows.includes('code') || holders.includes('source'),
    why: 'its credential stands in code',
  },
]

/** Traits of which the facts may say nothing either way: then they are neither there nor absent. */
const SILENT: Readonly<Record<Classification['traits'][number], (facts: ClassFacts) => boolean>> = {
  interactive: ({ interactive }) => interactive === null,
  autonomous: ({ isAutonomous, type }) => isAutonomous === null && type === 'account',
  exposed: ({ isPublic }) => isPublic === null,
  // That nobody found it in code needs code that was looked through.
  embedded: () => true,
}

type Judged = Pick<Classification, 'kind' | 'profile' | 'tier' | 'traits' | 'evidence' | 'unknown'>

/** Pure: the same facts, the same class. */
export function classOf(facts: ClassFacts): Judged {
  const evidence: Classification['evidence'] = []
  const traits: Classification['traits'] = []
  const single: { kind: Judged['kind']; profile: Judged['profile']; tier: Judged['tier'] } = {
    kind: null,
    profile: facts.identityProfile,
    tier: null,
  }
  if (facts.identityProfile !== null)
    evidence.push({ rule: 'record-profile', says: `profile ${facts.identityProfile}`, why: 'the record says so' })
  for (const { id, gives, when, why } of CLASS_RULES) {
    const { kind, profile, tier, trait } = gives
    const isNew =
      (kind !== undefined && single.kind === null) ||
      (profile !== undefined && single.profile === null) ||
      (tier !== undefined && single.tier === null) ||
      trait !== undefined
    if (!isNew || !when(facts)) continue
    if (kind !== undefined) single.kind = kind
    if (profile !== undefined) single.profile = profile
    if (tier !== undefined) single.tier = tier
    if (trait !== undefined && !traits.includes(trait)) traits.push(trait)
    evidence.push({ rule: id, says: saidOf(gives), why })
  }
  const silent = (['interactive', 'autonomous', 'exposed', 'embedded'] as const).filter(
    (trait) => !traits.includes(trait) && SILENT[trait](facts),
  )
  const open = (['kind', 'profile', 'tier'] as const).filter((field) => single[field] === null)
  return { ...single, traits, evidence, unknown: [...open, ...silent] }
}

function saidOf(gives: Gives): string {
  return Object.entries(gives)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ')
}
