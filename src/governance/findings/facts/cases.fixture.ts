import { secondsAfter } from '../../../kernel/clock.ts'
import { Instant } from '../../../kernel/instant.ts'
import type { AccountFacts, IdentityFacts } from './facts.ts'

export const NOW = Instant.parse('2030-01-01T00:00:00Z')
export const ago = (days: number) => secondsAfter(NOW, -days * 86_400)
export const subject = {
  id: '0190a000-0000-7000-8000-000000000001',
  name: 'it',
  identityId: null,
  goneAt: null,
  now: NOW,
}

export const identity: IdentityFacts = {
  ...subject,
  kind: 'workload',
  state: 'active',
  profile: 'service',
  tier: 2,
  tierSet: 2,
  ownerState: 'attested',
  ownerIsActive: true,
  expiresAt: null,
  createdAt: ago(400),
  liveTokens: 0,
  standing: [],
  lastActAt: ago(1),
  lastSeenUseAt: null,
  isTied: true,
  isAllWhole: true,
  graphAt: ago(1),
  hops: null,
  firstStep: null,
  goal: null,
  automation: [],
  livePurposes: 1,
  pastPurposes: [],
}
export const account: AccountFacts = {
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
  revocability: null,
}
const used = (more: object = {}) => ({ at: ago(2), agent: 'app 1.2', address: '10.0.0.7', byHuman: false, ...more })

/** What each rule says: something wrong, nothing wrong, and that it cannot tell. An absent row is one that the record always answers. */
export type Cases<Facts> = Readonly<
  Record<string, { found: Partial<Facts>[]; clear: Partial<Facts>[]; unknown?: Partial<Facts>[] }>
>

const over = { livePurposes: 0, pastPurposes: ['migration'] } as const
const glass = { kind: 'human', profile: 'break-glass' } as const
export const ON_IDENTITIES: Cases<IdentityFacts> = {
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
  'past-its-purpose': {
    found: [
      { ...over, liveTokens: 1 },
      { ...over, standing: ['app@db'] },
    ],
    clear: [
      {},
      over,
      { ...over, liveTokens: 1, livePurposes: 1 },
      { ...over, liveTokens: 1, state: 'suspended' },
      { ...over, liveTokens: 1, kind: 'human' },
    ],
    unknown: [{ livePurposes: 0, liveTokens: 1 }],
  },
  'reaches-tier-zero': {
    found: [
      { hops: 2, goal: 'orders', firstStep: 'owns' },
      { hops: 2, isAllWhole: false },
      { hops: 1, tierSet: 0 },
    ],
    clear: [{}, { kind: 'human', hops: 2 }, { state: 'retired', hops: 2 }],
    unknown: [{ graphAt: null, hops: 2 }, { isTied: false }, { isAllWhole: false }],
  },
  'break-glass-automated': {
    found: [
      { ...glass, automation: ['backup keeps its credential'] },
      { ...glass, automation: ['backup used it'], isAllWhole: false },
    ],
    clear: [{}, glass, { automation: ['backup used it'] }],
    unknown: [
      { ...glass, isTied: false },
      { ...glass, isAllWhole: false },
    ],
  },
}
export const ON_ACCOUNTS: Cases<AccountFacts> = {
  'no-revocation-path': {
    found: [
      { mode: 'lease', revocability: 'expires-only' },
      { mode: 'lease', revocability: 'none' },
    ],
    clear: [
      { mode: 'lease', revocability: 'immediate' },
      { mode: 'lease', revocability: 'next-login' },
      { mode: 'static', isRotated: true },
    ],
    unknown: [{ mode: 'lease' }, {}],
  },
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
