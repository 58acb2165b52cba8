/**
 * What a connector is, and all it may know. A connector reads one kind of source and says what it saw, scope by scope. It never sees a database
 * of ours, a policy or another connector; paging, pace, retries, what is new and what is gone are the reconciler's.
 *
 * Its promises: an id names one thing for good; each thing is told in exactly one scope; a secret value leaves it only as a fingerprint; reading
 * changes nothing at the source; a scope is closed with a report that says what could not be seen and which permission would show it. A reading
 * that throws is partial, and nothing is taken for gone.
 */
import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { Fingerprint } from '../kernel/fingerprint.ts'
import type { OriginAnswer, OriginAsk, OriginStream } from '../kernel/origin.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Inbox, Waiting } from './inbox.ts'
import type { CredentialType, NativeId, ObservationKind } from './observation.ts'
import type { Missing, Page, ScopeReport, Since } from './scope.ts'

export * from './observation.ts'
export { keptOf } from './kept.ts'
export { tame } from './text.ts'
export * from './certificate.ts'
export * from './told.ts'
export * from './scim-told.ts'
export * from './place.ts'
export * from './log-lines.ts'
export * from './unreadable.ts'
export * from './answer.ts'
export * from './scope.ts'
export * from './denied.ts'
export * from './holes.ts'
export * from './pages.ts'
export * from './parts.ts'
export * from './rounds.ts'
export * from './each.ts'
export * from './files-under.ts'
export * from './inbox.ts'

/** One kind of source: a folder and a line in `index.ts`. */
export type Connector = {
  readonly manifest: Manifest
  /** What `source.settings` holds: the address is in here and nowhere else. Every field is classified. */
  readonly settings: z.ZodType
  /** What is sealed of a source, `{ user, password }` or `{ token }`; undefined when nothing is needed. */
  readonly credential: z.ZodType | undefined
  /** Where it connects to, as a URL, from its settings: no reading goes anywhere else. */
  readonly address: (settings: unknown) => string
  /** Further origins of the same system, where one answers for its logins and another for what it knows. */
  readonly also?: (settings: unknown) => readonly string[]
  /** Where the system posts by itself for one of its scopes. */
  readonly inbox?: Inbox
  /** Throws when the source cannot be reached or refuses the credential. */
  readonly open: (given: Given, signal: AbortSignal) => Promise<OpenSource>
}

/** What a connector says of itself; its page and the permission matrix come from here. */
export type Manifest = {
  readonly id: string
  readonly version: string
  /** The system it reads, in words. */
  readonly source: string
  readonly observes: readonly ObservationKind[]
  readonly reads: readonly {
    /** As in `ScopeRef.scope`, `*` for what varies. */
    readonly scope: string
    readonly gives: string
    readonly permission: string
    /** Whether the rest can be read without it. */
    readonly isOptional: boolean
  }[]
  readonly writes: readonly WriteAbility[]
  /** What nobody can see by this way, whatever the permission. */
  readonly blindSpots: readonly string[]
  /** Which data of the source are kept, and which never leave it. */
  readonly metadataHandling: string
  /** Risks of the OWASP Non-Human Identities Top 10 that what it reads is evidence for. */
  readonly risks: readonly Risk[]
}

type Risk = `NHI${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}:2025`

/** What an open source works with. */
export type Given = {
  readonly settings: unknown
  /** The sealed credential's JSON text, opened; parse it by the connector's own schema. */
  readonly credential: Secret | undefined
  readonly clock: Clock
  /** The one way in which a secret value may leave. */
  readonly fingerprint: (value: Secret<Buffer> | Secret) => Fingerprint
  /** For sources that speak HTTP: asks `address`, never another. */
  readonly http: SourceHttp
  /** The same to each address of `also`, in its order. */
  readonly also?: readonly SourceHttp[]
  /** Names of principals that Reeve made at this source and answers for itself: leases. They are no accounts of the company. */
  readonly ours: () => Promise<ReadonlySet<string>>
  /** What was posted for this source and waits behind a place, oldest first. */
  readonly delivered?: (after: number) => Promise<Waiting>
  /** Seals a secret that a write made, for whoever asked; nothing else opens it. */
  readonly custody: (secret: Secret) => Buffer
}

/**
 * HTTP to the origin of the registered address. `path` begins with `/` and cannot leave it; redirects are not followed; answers are bounded in size
 * and time. 429 and 503 become `SlowDown`, 401 and 403 are answers: whether they deny a scope is the connector's to say.
 */
export type SourceHttp = {
  (asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer>
  /** The same with the body as it comes, for lists that are not held whole (`jsonItems`). */
  readonly stream: (asked: HttpAsked, signal: AbortSignal) => Promise<OriginStream>
}
export type HttpAsked = OriginAsk
export type HttpAnswer = OriginAnswer

/** A source that is being read; disposing it closes its connections. */
export type OpenSource = AsyncDisposable & {
  /** Which scopes would be visible, and what is missing for the others: a matrix, not a yes. */
  readonly probe: (signal: AbortSignal) => Promise<Probe>
  /** Every scope there is, those too that cannot be read. */
  readonly scopes: (signal: AbortSignal) => AsyncGenerator<ScopeRef, ScopesReport>
  /**
   * Reads one scope. With `since.validator` it may close as `unchanged` without a page. With `since.cursor` it goes on behind that page.
   * Throws `Denied`, `SlowDown`, or anything: the scope is then denied, read on later, or partial.
   */
  readonly read: (scope: string, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
  readonly writer?: Writer
}

export type Probe = {
  /**
   * The system itself, by something that does not change when its address does: a cluster's system identifier, an account number. A source that
   * turns out to be another system than it was is not read.
   */
  readonly authority: string
  /** Product and version, in words. */
  readonly system: string
  readonly scopes: readonly ProbedScope[]
}
export type ProbedScope = {
  readonly scope: string
  readonly isVisible: boolean
  /** When it is not, or not wholly. */
  readonly missing: readonly Missing[]
}

export type ScopeRef = {
  /** Stable name of a part of the source: `cluster/roles`, `database/16384/grants`. */
  readonly scope: string
  /** In words, for people. */
  readonly title?: string
  /** Events and not a list: a reading goes on behind the last cursor of the one before, and nothing is gone by not being in it. */
  readonly isFeed?: boolean
}
/** `isAll`: whether scopes that were not named do not exist any more. */
export type ScopesReport = { readonly isAll: boolean; readonly missing: readonly Missing[] }

/** The source asks for patience: the reading goes on after the wait, behind the last page that had a cursor. */
export class SlowDown extends Error {
  override readonly name = 'SlowDown'
  readonly retryAfterMs: number | undefined

  constructor(retryAfterMs?: number, options?: ErrorOptions) {
    super('the source asks for fewer requests', options)
    this.retryAfterMs = retryAfterMs
  }
}

const WRITE_OPS = ['issue', 'disable', 'enable', 'revoke', 'grant', 'ungrant', 'end-sessions'] as const

/** One thing that can be changed there, with what its undoing is worth. Declared whether or not anybody has switched it on. */
type WriteAbility = {
  readonly op: (typeof WRITE_OPS)[number]
  readonly on: z.output<typeof CredentialType> | 'principal' | 'grant'
  readonly revocability: 'immediate' | 'next-login' | 'expires-only' | 'none'
  readonly maxResidualSeconds?: number
  /** How many may live at once: what a rotation with overlap needs. */
  readonly coexisting: number
  readonly isReversible: boolean
  readonly permissions: readonly string[]
}

type Act = {
  readonly op: WriteAbility['op']
  readonly on: NativeId
  readonly terms: Readonly<Record<string, string | number | boolean>>
}
/** What an act would do, before anything is done. */
type Plan = {
  readonly effects: readonly string[]
  readonly breaks: readonly NativeId[]
  readonly isReversible: boolean
}
type Applied = {
  /** What was made, sealed by `custody`. */
  readonly issued?: { readonly id: NativeId; readonly sealed: Buffer }
  /** What `revert` needs; holds no secret. */
  readonly undo?: string
}

/** Changes at the source. Planned, done once per idempotency key, and believed only when a probe of its own says so. */
type Writer = {
  readonly plan: (act: Act, signal: AbortSignal) => Promise<Plan>
  /** The same key again is the same act: it answers as the first time and does nothing twice. */
  readonly apply: (act: Act, idempotencyKey: string, signal: AbortSignal) => Promise<Applied>
  /** Whether the act holds there now; after a revocation that is a negative probe: the credential is tried and must fail. */
  readonly verify: (act: Act, signal: AbortSignal) => Promise<'holds' | 'does-not-hold' | 'cannot-tell'>
  readonly revert?: (undo: string, signal: AbortSignal) => Promise<void>
}
