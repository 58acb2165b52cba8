import type { FactorName, RiskModel } from './model.ts'
import { riskOf, type Risk, type RiskFactor } from './score.ts'
import { readFindings, readSignals, type OpenFindings, type SignalInForce } from './reported.ts'

/** One past use of the identity, as far as it counts as a habit. */
export type PastUse = {
  readonly at: Date
  readonly place: string
  /** It ended: a session under way may not vouch for the place it came from itself. */
  readonly isOver: boolean
}

/** What is known when the question is asked. Null and undefined are "not known", never "no". */
export type RiskFacts = {
  readonly now: Date
  readonly target: { readonly name: string; readonly environment: string }
  /** The more sensitive one of target and account. */
  readonly tier: number
  readonly actions: readonly { readonly name: string; readonly tier: number }[]
  readonly subject: {
    readonly name: string
    readonly kind: string
    readonly environment: string
    readonly ownerState: string
  }
  /** How the subject proved itself, in the words of the policies. */
  readonly proof: string
  /** When the oldest credential that still proves the subject was issued. */
  readonly credentialSince: Date | null
  /** Its latest uses, in any order; null when they could not be read. */
  readonly history: readonly PastUse[] | null
  /** Where the client is; null before there is one. */
  readonly place: string | null
  readonly window: { readonly id: string; readonly open: boolean } | undefined
  readonly isFrozen: boolean
  /** Identities that act for another one in the chain. */
  readonly delegations: number
  /** Open findings on the subject; null where they could not be looked for. */
  readonly findings: OpenFindings | null
  /** What others reported of who acts and of the target, and is in force. */
  readonly signals: readonly SignalInForce[]
}

type Reading = Omit<RiskFactor, 'name' | 'weight'>
type Read = (facts: RiskFacts, limits: RiskModel['limits']) => Reading

/** The risk of one act. Pure: the same facts and model give the same answer. */
export function assessRisk(model: RiskModel, facts: RiskFacts): Risk {
  const factors = Object.entries(READERS).map(([name, read]) => ({ name, read }))
  return riskOf(
    model,
    factors.flatMap(({ name, read }) => {
      if (!isFactor(name)) return []
      return [{ name, weight: model.weights[name], ...read(facts, model.limits) }]
    }),
  )
}

const READERS: Readonly<Record<FactorName, Read>> = {
  'target-tier': ({ target, tier }) => now(byTier(tier), `${target.name} is of tier ${tier}`, 'catalog'),
  'action-tier': ({ actions }) => {
    const [worst] = actions.toSorted((a, b) => a.tier - b.tier || (a.name < b.name ? -1 : 1))
    if (!worst) return unknown('no action of the catalog was named', 'catalog')
    return now(byTier(worst.tier), `${worst.name} is of tier ${worst.tier}`, 'catalog')
  },
  environment: ({ subject, target }) => {
    if (subject.environment === target.environment) return now(0, `both are of ${target.environment}`, RECORD)
    // Into production is the way up; every other crossing mixes what was meant to be apart.
    const value = target.environment === 'production' ? 1 : 0.5
    return now(value, `${subject.name} is of ${subject.environment}, ${target.name} of ${target.environment}`, RECORD)
  },
  ownership: ({ subject }) => {
    if (subject.kind === 'human' && subject.ownerState === 'none')
      return now(0, 'a person answers for themselves', RECORD)
    const value = OWNERSHIP[subject.ownerState]
    if (value === undefined) return unknown('the state of the ownership is not one we know', RECORD)
    return now(value, `the owner of ${subject.name} is ${OWNER_WORDS[subject.ownerState] ?? 'unknown'}`, RECORD)
  },
  binding: ({ subject, proof }) => {
    const value = BINDING[proof]
    if (value === undefined) return unknown('the kind of proof is not one we know', PROOF)
    return now(value, `${subject.name} proved itself by ${proof}`, PROOF)
  },
  'credential-age': ({ subject, credentialSince, ...facts }, { credentialDays }) => {
    if (credentialSince === null) return unknown(`no credential of ${subject.name} is recorded here`, 'tokens')
    const days = daysBetween(credentialSince, facts.now)
    return now(days / credentialDays, `the oldest credential of ${subject.name} is ${inDays(days)} old`, 'tokens')
  },
  dormancy: ({ subject, history, ...facts }, { dormantDays }) => {
    const last = latest(history ?? [])
    if (!last) return unknown(`no use by ${subject.name} is recorded`, USES)
    const days = daysBetween(last.at, facts.now)
    return seen(days / dormantDays, `the last use by ${subject.name} was ${inDays(days)} ago`, USES, last.at, facts.now)
  },
  time: readTime,
  network: readNetwork,
  delegation: ({ delegations }) =>
    now(
      delegations / 2,
      delegations === 0 ? 'nobody acts for another' : `it acts through ${delegations} delegation(s)`,
      PROOF,
    ),
  freeze: ({ isFrozen, target }) =>
    isFrozen
      ? now(1, `a change freeze covers ${target.name}`, 'calendar')
      : now(0, `no change freeze covers ${target.name}`, 'calendar'),
  findings: ({ findings, subject }, limits) => readFindings(findings, subject.name, limits.findings),
  signals: ({ signals, ...facts }) => readSignals(signals, facts.now),
}

function isFactor(name: string): name is FactorName {
  return Object.hasOwn(READERS, name)
}

/** Uses within two hours of this time of day are what was to be expected; their share of a day is what chance would give. */
const NEAR_HOURS = 2
const BY_CHANCE = (2 * NEAR_HOURS) / 24

function readTime({ window, history, subject, ...facts }: RiskFacts, { habitUses }: RiskModel['limits']): Reading {
  if (window?.open === true) return now(0, `the window ${window.id} is open`, 'calendar')
  const uses = history ?? []
  if (uses.length < habitUses)
    return unknown(`${uses.length} recorded use(s) by ${subject.name} are no habit yet`, USES)
  const hour = hourOf(facts.now)
  const near = uses.filter(({ at }) => {
    const apart = Math.abs(hourOf(at) - hour)
    return Math.min(apart, 24 - apart) <= NEAR_HOURS
  })
  const value = 1 - near.length / uses.length / BY_CHANCE
  const fact = `${near.length} of its last ${uses.length} uses were within ${NEAR_HOURS} h of this time of day`
  return seen(value, fact, USES, latest(uses)?.at ?? facts.now, facts.now)
}

function readNetwork({ place, history, subject, ...facts }: RiskFacts): Reading {
  if (place === null) return unknown('from where it will be used is not known before it is used', USES)
  const before = (history ?? []).filter(({ isOver }) => isOver)
  if (before.length === 0) return unknown(`no earlier session of ${subject.name} is recorded`, USES)
  const same = latest(before.filter((use) => use.place === place))
  if (same) return seen(0, `${subject.name} was at this address before`, USES, same.at, facts.now)
  return now(1, `${subject.name} was never at this address in its last ${before.length} session(s)`, USES)
}

const RECORD = 'the record'
const PROOF = 'the proof'
const USES = 'recorded uses'

/** From "costs the installation" to "costs nobody's sleep". */
const TIERS = [1, 0.6, 0.3, 0] as const

function byTier(tier: number): number {
  return TIERS[tier] ?? 1
}

const OWNERSHIP: Readonly<Record<string, number>> = { attested: 0, suggested: 0.5, none: 1, lost: 1 }
const OWNER_WORDS: Readonly<Record<string, string>> = {
  attested: 'attested',
  suggested: 'suggested and did not accept yet',
  none: 'nobody',
  lost: 'gone',
}

/** How little a stolen copy of the proof would be worth to somebody else: 1 for a bare bearer secret. */
const BINDING: Readonly<Record<string, number>> = {
  passkey: 0,
  mtls: 0,
  spiffe: 0,
  dpop: 0,
  kubernetes: 0.1,
  oidc: 0.2,
  'bound-token': 0.3,
  token: 1,
}

function now(share: number, fact: string, source: string): Reading {
  return { value: within(share), fact, source, ageSeconds: 0 }
}

function seen(share: number, fact: string, source: string, at: Date, until: Date): Reading {
  return { value: within(share), fact, source, ageSeconds: Math.floor(daysBetween(at, until) * 86_400) }
}

function unknown(fact: string, source: string): Reading {
  return { value: null, fact, source, ageSeconds: null }
}

function within(share: number): number {
  return Number.isNaN(share) ? 1 : Math.min(1, Math.max(0, share))
}

/** Never negative: what another node wrote a moment ahead of us was just now. */
function daysBetween(from: Date, until: Date): number {
  return Math.max(0, until.getTime() - from.getTime()) / 86_400_000
}

function inDays(days: number): string {
  return days < 1 ? 'less than a day' : `${Math.floor(days)} day(s)`
}

function hourOf(at: Date): number {
  return at.getUTCHours() + at.getUTCMinutes() / 60
}

function latest(uses: readonly PastUse[]): PastUse | undefined {
  return uses.reduce<PastUse | undefined>((last, use) => (last && last.at >= use.at ? last : use), undefined)
}
