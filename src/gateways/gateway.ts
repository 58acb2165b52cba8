/**
 * What a gateway is, and all it may know. A gateway speaks one protocol: it takes a caller's proof, asks the plane to admit it, connects to the
 * target with the lease it is given, forwards, and asks before each operation. It never sees a database, a policy or another gateway.
 *
 * The plane's promise: an admission holds a use that was reserved before the upstream connection; `ended` fires once when the grant ends for
 * whatever reason, or when control is lost longer than its target allows; an operation that was not recorded did not happen unless the target says so.
 */
import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Random } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'

/** An action of the catalog that operations of this protocol need. `obligations` is the floor, in the form of policy annotations. */
export type GatewayAction = {
  readonly name: string
  readonly class: 'read' | 'change' | 'admin'
  readonly tier: 0 | 1 | 2 | 3
  readonly summary: string
  readonly obligations: Readonly<Record<string, string>>
}

/** One protocol: a line in `index.ts`. */
export type Gateway = {
  readonly protocol: string
  readonly actions: readonly GatewayAction[]
  /** Classes of operations that it tells apart and can hold for a person; policies that hold others shut it. */
  readonly holds: readonly string[]
  /** What `target.settings` holds for this protocol. */
  readonly settings: z.ZodType
  readonly open: (plane: Plane, listen: Listen) => Promise<OpenGateway>
}

export type Listen = { readonly host: string; readonly port: number }

/** A listening gateway. Disposing it stops accepting, tells live clients, and waits for them within the plane's drain time. */
export type OpenGateway = AsyncDisposable & { readonly port: number }

/** What the caller shows: a ticket (a bearer secret) or the key of a client certificate (SHA-256 of its public key). */
export type Proof =
  | { readonly kind: 'ticket'; readonly secret: Secret }
  | { readonly kind: 'key'; readonly spkiSha256: Buffer }

export type Asked = {
  readonly proof: Proof
  readonly target: string
  readonly account: string
  readonly clientAddress: string
}

/** What stops a session's statement from outside of its connection: which process, and the key that was given out with it. */
export type CancelRequest = { readonly processId: number; readonly key: Buffer; readonly clientAddress: string }

export type Plane = {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The gateway's certificate (P-256, core 25) and the authority of client certificates; asked for each listener and after renewal. */
  readonly tls: () => { readonly key: Secret; readonly cert: string; readonly clientCa: string }
  /** Throws `Refused`. On abort everything reserved is given back. */
  readonly admit: (asked: Asked, signal: AbortSignal) => Promise<Admission>
  /** A request to cancel that fits no session here: the other nodes are asked, within limits. Nobody hears what came of it. */
  readonly passCancel: (request: CancelRequest) => void
  /** What other nodes passed on. `key` opens it, and throws for a forged one: call it only for a process that is here. */
  readonly onCancel: (heard: (processId: number, key: () => Buffer) => void) => Disposable
  /** How long a stopping gateway waits for its sessions. */
  readonly drainMs: number
}

/** Why somebody may not come in or go on: one sentence that says what to do, safe to show. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly code: 'unknown' | 'over' | 'used-up' | 'too-many' | 'lease' | 'target-down' | 'not-now'

  constructor(code: Refused['code'], sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.code = code
  }
}

/** Why an admission is over; `sentence` is for the client. */
export type Ending = { readonly reason: string; readonly sentence: string }

export type Admission = AsyncDisposable & {
  readonly grant: { readonly id: string; readonly actions: readonly string[]; readonly expiresAt: Date }
  readonly subject: { readonly id: string; readonly name: string; readonly kind: string }
  readonly target: { readonly id: string; readonly name: string; readonly settings: unknown }
  readonly account: { readonly name: string; readonly databases: readonly string[] }
  /** The login at the target. Only the gateway uses it; nothing of it reaches the client or a recording. */
  readonly upstream: UpstreamLogin
  /** Fires once, with an `Ending` as its reason. */
  readonly ended: AbortSignal
  /** The upstream is ready: the use counts from here. Without it, disposing gives the use back. */
  readonly begin: () => Promise<LiveSession>
}

/** `others`: what the login may be by now, asked for when the target refused the first: it may be rotated at this very moment. */
type UpstreamLogin = {
  readonly user: string
  readonly password: Secret
  readonly others?: () => Promise<readonly { readonly user: string; readonly secret: Secret }[]>
}

export type LiveSession = {
  readonly id: string
  /** From the session's class table: a look-up, no waiting. Undefined when the grant covers the action, else what to request. */
  readonly refusal: (action: string) => string | undefined
  /** Of an action that is not refused: why it would be if the target enforced. */
  readonly passing: (action: string) => Passing | undefined
  /** Whether operations of a class wait for a person; a `Passing` where the target does not enforce. A look-up, as above. */
  readonly holding: (held: string) => 'held' | Passing | undefined
  /**
   * Puts one operation before people and waits, no longer than `forSeconds`. Resolves with undefined when it may go to the target, once
   * and now; else with why not. Never rejects. On abort it is not released any more.
   */
  readonly hold: (operation: HeldOperation, signal: AbortSignal) => Promise<string | undefined>
  /** Hands over one finished operation. Fires `lost` when it cannot be kept and the target's `onRecorderLoss` is `end`. */
  readonly record: (operation: RecordedOperation) => void
  readonly lost: AbortSignal
  /** Seals the recording and closes the session's row. Idempotent. */
  readonly close: (ending: Ending) => Promise<void>
}

/** What goes through although enforcing would refuse it; the client is told where the target says so. */
export type Passing = { readonly sentence: string; readonly isTold: boolean }

/** As it is shown to who may release it: without values. */
export type HeldOperation = {
  readonly class: string
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly forSeconds: number
  /** Called once it waits, with a sentence for the client. */
  readonly onHeld: (sentence: string) => void
}

/** One statement, command, request or call. `statement` holds no values; `sealed` is encrypted before it is written anywhere. */
export type RecordedOperation = {
  readonly startedAt: Date
  readonly durationMs: number
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly sealed: readonly string[]
  readonly outcome: 'done' | 'failed' | 'refused' | 'cut'
  readonly error?: { readonly code: string; readonly message: string }
  /** Why enforcing would have refused or held it. */
  readonly wouldRefuse?: string
  readonly rows: number
  readonly sizeBytes: number
}
