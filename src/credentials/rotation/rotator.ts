import type { Random } from '../../kernel/random.ts'
import type { Secret } from '../../kernel/secret.ts'
import { LeaseFailure } from '../writer.ts'

/** Who logs in at a target. `others`: what else the secret may be by now, asked for when the first is refused. */
export type TargetLogin = {
  readonly user: string
  readonly secret: Secret
  readonly others?: () => Promise<readonly Secret[]>
}

/** Where a login stands. */
export type Place = {
  readonly target: string
  readonly settings: unknown
  /** Those it may enter; empty: any. */
  readonly databases: readonly string[]
}

/** What became of a login that was tried: let in, or refused with a code of the target's. Anything unclear throws. */
export type Tried = { readonly isAccepted: true } | { readonly isAccepted: false; readonly code: string }

export type SecretChange = {
  readonly user: string
  readonly secret: Secret
  /** Those who may change it, the first choice first. */
  readonly actors: readonly TargetLogin[]
  /** Asked once nobody else is changing it: what is not wanted any more is not done. */
  readonly isWanted: () => Promise<boolean>
}

/** How one protocol gives a standing login another secret. Each method may run again after a crash, also beside a run of another node. */
export type LoginRotator = {
  readonly protocol: string
  make(random: Random): Secret
  /** Throws `SecretRefused` when the target says that it takes no such secret, and has not taken it. */
  change(place: Place, change: SecretChange, signal: AbortSignal): Promise<void>
  tryLogin(place: Place, login: TargetLogin, signal: AbortSignal): Promise<Tried>
  /** Ends what this login opened longer ago than that. Returns how many were found. */
  endSessions(place: Place, login: TargetLogin, olderThanMs: number, signal: AbortSignal): Promise<number>
}

/** The target takes no such secret by rules of its own, and knows the old one still. */
export class SecretRefused extends LeaseFailure {
  override readonly name = 'SecretRefused'
}
