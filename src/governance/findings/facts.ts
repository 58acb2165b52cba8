import type { Subject } from './rule.ts'

/** So long without a use is long, where every use would have been seen. */
export const UNUSED_DAYS = 90
/** Uses that are younger count as present. */
export const RECENT_DAYS = 30

type IdentityKind = 'human' | 'machine' | 'workload' | 'agent'

/** Of an identity, all from the record: it is complete by itself. */
export type IdentityFacts = Subject & {
  readonly kind: IdentityKind
  readonly state: string
  readonly tier: number
  readonly ownerState: string
  /** Whether the person who owns it can act; null where nobody does. */
  readonly ownerIsActive: boolean | null
  readonly expiresAt: Date | null
  readonly createdAt: Date
  readonly liveTokens: number
  /** Accounts with a standing login that it claims, a few of them. */
  readonly standing: readonly string[]
  /** The last time it asked for anything, or used a grant. */
  readonly lastActAt: Date | null
  /** The last use of its accounts that a source told. */
  readonly lastSeenUseAt: Date | null
}

/** A use of an account at its target that no session explains. */
type OutsideUse = {
  readonly at: Date
  readonly agent: string | null
  readonly address: string | null
  readonly byHuman: boolean
}

/** Of an account at a target. Null is not known. */
export type AccountFacts = Subject & {
  readonly mode: 'lease' | 'static' | 'seen'
  readonly tier: number
  /** When the target was last looked at and had it. */
  readonly seenAt: Date | null
  readonly claimedBy: IdentityKind | null
  readonly canLogIn: boolean | null
  readonly isBuiltIn: boolean
  readonly isSuperuser: boolean | null
  readonly createsRoles: boolean | null
  /** Whether each use would have been seen, without a gap, for `UNUSED_DAYS`. */
  readonly isWatchedLong: boolean
  /** The same for `RECENT_DAYS`. */
  readonly isWatched: boolean
  readonly lastUsedAt: Date | null
  readonly firstSeenAt: Date | null
  readonly outside: readonly OutsideUse[]
  readonly isRotated: boolean
}

/** What was read of one thing at a source. */
type Read = {
  readonly source: string
  readonly environment: string
  /** Whether its part of the source was last seen whole; only then does what is not there not exist. */
  readonly isWhole: boolean
  /** Whether it is in the last complete reading. */
  readonly isPresent: boolean
  readonly readAt: Date
}

export type CredentialFacts = Subject &
  Read & {
    readonly type: string
    readonly state: string | null
    readonly createdAt: Date | null
    readonly rotatedAt: Date | null
    readonly expiresAt: Date | null
    readonly neverExpires: boolean
    readonly strength: string | null
    readonly strengthWhy: readonly string[]
    readonly hasFingerprint: boolean
    /** Principals that hold the same secret, this one's included. */
    readonly holders: readonly string[]
    /** Environments of the sources that show the same secret. */
    readonly environments: readonly string[]
    /** Whether every source was last seen whole. */
    readonly isAllWhole: boolean
    /** Who has it in keeping, as the source says: `vault`, `ci`, `source` for code. */
    readonly heldBy: string | null
    /** Of what stands in code: whether the newest state has it, and how sure it is to be a secret. */
    readonly isInNewest: boolean | null
    readonly confidence: string | null
    /** Where the same secret stands in code, images and logs, a few of them. */
    readonly inCode: readonly string[]
    /** Credentials of accounts, and of vaults, that are the same secret and stand now, a few of them. */
    readonly liveAs: readonly string[]
    /** How much of the sources of code was seen. */
    readonly codeRead: 'whole' | 'partly' | 'none'
  }

export type TrustFacts = Subject &
  Read & {
    readonly nativeKind: string
    readonly method: string | null
    /** Sort of connection, as the source has it: local, host, hostssl. */
    readonly connection: string | null
    readonly isWildcard: boolean
    /** Where it stands, in the source's words: a file and what in it. */
    readonly where: string | null
  }

/** Of an identity: the rules that found something on it, or on what it holds, and are not fixed. */
export type CombinedFacts = Subject & { readonly rules: ReadonlySet<string> }
