import type { Subject } from '../rule.ts'

/** So long without a use is long, where every use would have been seen. */
export const UNUSED_DAYS = 90
/** Uses that are younger count as present. */
export const RECENT_DAYS = 30

type IdentityKind = 'human' | 'machine' | 'workload' | 'agent'

/** Of an identity, all from the record: it is complete by itself. */
export type IdentityFacts = Subject & {
  readonly kind: IdentityKind
  readonly state: string
  readonly profile: string
  readonly tier: number
  /** What a person said; `tier` is the graver one of this and of what it reaches. */
  readonly tierSet: number
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
  /** Whether anything at a source is known to be it; otherwise nothing is known of its ways and consumers. */
  readonly isTied: boolean
  /** Whether there is a source, and each was last seen whole. */
  readonly isAllWhole: boolean
  /** When the graph was last looked at as a whole. */
  readonly graphAt: Date | null
  /** Of its shortest way to tier 0; null where none is seen. */
  readonly hops: number | null
  /** Its first step, in words. */
  readonly firstStep: string | null
  readonly goal: string | null
  /** Of break-glass: what runs by itself and keeps a credential of it, or was seen using it. */
  readonly automation: readonly string[]
  /** Registered purposes that it acted for and that still hold. */
  readonly livePurposes: number
  /** Those that are over, a few of them. */
  readonly pastPurposes: readonly string[]
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
  /** How what was last issued for it can be ended; null where nothing was. */
  readonly revocability: 'immediate' | 'next-login' | 'expires-only' | 'none' | null
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

/** Of what can act at a source. `identityId` is the identity that it is tied to. */
export type PrincipalFacts = Subject &
  Read & {
    /** Groups and roles are what others act by. */
    readonly canAct: boolean
    readonly state: string | null
    /** Whether its system came with it. */
    readonly isBuiltIn: boolean
    /** Whether it is an account of a target, which has rules of its own, or one of many instances of another. */
    readonly isJudgedElsewhere: boolean
    /** Whether there is a source, and each was last seen whole. */
    readonly isAllWhole: boolean
    /** When the graph was last looked at as a whole. */
    readonly graphAt: Date | null
    /** Of its shortest way to tier 0; 0 where it is tier 0 itself, null where none is seen. */
    readonly hops: number | null
    /** Its first step, in words. */
    readonly firstStep: string | null
    readonly goal: string | null
    /** The last use that a source told. */
    readonly lastUsedAt: Date | null
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
    /** Who is believed, where that is an issuer. */
    readonly issuer: string | null
    /** Claims that it must show with a value of their own. */
    readonly claims: readonly string[]
    /** What makes it wider than it has to be, in words of its connector: `any-host`, `unsigned`. */
    readonly widens: readonly string[]
    /** Whether its system came with it. */
    readonly isBuiltIn: boolean
  }

/** Of a credential: who has it in keeping, and who uses it. */
export type KeepingFacts = Subject &
  Read & {
    readonly type: string
    readonly state: string | null
    readonly hasFingerprint: boolean
    /** Whether there is a source, and each was last seen whole. */
    readonly isAllWhole: boolean
    readonly heldBy: string | null
    /** Of a grant: whether it works while whoever gave it is not there. */
    readonly isOffline: boolean
    readonly neverExpires: boolean
    /** Of one that works so: the last use that a source told. */
    readonly lastUsedAt: Date | null
    /** The partner it was given to, as far as a tag, an application or the record says. */
    readonly vendor: string | null
    /** What the record says of that partner; null: it does not know it. */
    readonly vendorState: 'active' | 'ended' | null
    /** People who hold the same secret, or were seen using it. */
    readonly people: readonly string[]
    /** What runs by itself and holds the same secret, or keeps it. */
    readonly jobs: readonly string[]
    /** Where it stands in the open: `env of shop/api: TOKEN`. What stands in code has rules of its own. */
    readonly keptIn: readonly string[]
    /** Whether a store holds the same secret. */
    readonly isVaulted: boolean
    /** Whether a store is read at all. */
    readonly isStoreRead: boolean
  }

/** Of a right by a star. */
export type GrantFacts = Subject &
  Read & {
    readonly privilege: string
    /** What it is on. */
    readonly on: string
    readonly isAdministrator: boolean
    /** Whether its system came with it. */
    readonly isBuiltIn: boolean
    /** Who has it, a few of them: what the system itself gave its own parts is not among them. */
    readonly holders: readonly string[]
    /** Whether everybody who can reach the system has it. */
    readonly isEverybodys: boolean
    /** Whether every part of its source was last seen whole: only then is it seen who has it. */
    readonly isSourceWhole: boolean
  }

/** Of what a server offers to agents: itself, a tool, a prompt, a resource. */
export type ToolFacts = Subject &
  Read & {
    readonly type: string
    readonly digest: string | null
    /** As a person approved it; null where nobody did. */
    readonly approvedDigest: string | null
    readonly approvedAt: Date | null
    /** Whether a person approved any tool of its server. */
    readonly isServerApproved: boolean
    /** What in its texts is meant for a model and not for a person. */
    readonly marks: readonly string[]
    /** Of a server: whether it answers without a token. */
    readonly isPublic: boolean | null
  }

/** Of a rule by which Reeve believes another issuer; all from the record. */
export type TrustRuleFacts = Subject & {
  readonly preset: string
  readonly issuer: string
  readonly keysUrl: string | null
  /** The subject as it is expected, or how it begins. */
  readonly subject: string
  readonly isBeginning: boolean
  /** Further claims that are expected. */
  readonly claims: readonly string[]
  /** Of the identity that it proves. */
  readonly tier: number
}

/** Of an identity: the rules that found something on it, or on what it holds, and are not fixed. */
export type CombinedFacts = Subject & { readonly rules: ReadonlySet<string> }
