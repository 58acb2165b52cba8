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

/**
 * What became of a login that was tried: let in, or refused with a code of the target's. `why`: its secret is not known there; or the login as
 * such is not let in, whatever its secret, which may change again. Anything unclear throws.
 */
export type Tried =
  | { readonly isAccepted: true }
  | { readonly isAccepted: false; readonly code: string; readonly why: 'secret' | 'login' }

/** What is done to one login at the target. */
export type Act = {
  readonly user: string
  /** Those who may do it, the first choice first. */
  readonly actors: readonly TargetLogin[]
  /** Asked once nobody else is changing it: what is not wanted any more is not done. */
  readonly isWanted: () => Promise<boolean>
}

/** `mark`: the rotation; it is left at the target where it can be, and a target that has a later one is not touched. */
export type SecretChange = Act & { readonly secret: Secret; readonly mark?: string }

/** Somebody who is connected at the target now. Only `user` is certain: the name and place are what they look like. */
export type Sighting = {
  readonly user: string
  readonly application: string
  /** Undefined: the target does not show it to us, which proves nothing of anybody. */
  readonly address: string | undefined
  /** How long it has been connected; without end where that is not shown. */
  readonly forMs: number
  /** It comes, as far as can be seen, from where this node comes from, so it may be a gateway's. */
  readonly isFromHere: boolean
}

/** How two logins of a target stand in for each other. Each may run again after a crash. */
export type TurnTaking = {
  /** Whether `forget` ends what is connected; where the target has no way to, it goes on until it ends by itself. */
  readonly endsSessions: boolean
  /** Makes the other login with the same rights and no way in yet. Throws where the first holds rights of its own, which it would lack. */
  prepare(place: Place, act: Act & { readonly like: string; readonly mark: string }, signal: AbortSignal): Promise<void>
  /** Lets a login in by its secret, or not any more, which can be taken back. `secret`: its own, for a target that shuts a login by forgetting it. */
  allow(
    place: Place,
    act: Act & { readonly isAllowed: boolean; readonly mark: string; readonly secret: Secret | undefined },
    signal: AbortSignal,
  ): Promise<void>
  /** Takes the secret away for good and ends what is connected. */
  forget(place: Place, act: Act & { readonly mark: string }, signal: AbortSignal): Promise<void>
}

/** A key among those that a target keeps of one principal at once. */
type Slot = { readonly user: string; readonly createdAt: Date; readonly isUsed: boolean }

/** Where the target itself makes keys and knows two at once. Each may run again after a crash; what is gone already counts as done. */
export type Slots = {
  list(place: Place, actor: TargetLogin, signal: AbortSignal): Promise<Slot[]>
  create(
    place: Place,
    actor: TargetLogin,
    signal: AbortSignal,
  ): Promise<{ readonly user: string; readonly secret: Secret }>
  allow(
    place: Place,
    actor: TargetLogin,
    key: { readonly user: string; readonly isAllowed: boolean },
    signal: AbortSignal,
  ): Promise<void>
  remove(place: Place, actor: TargetLogin, user: string, signal: AbortSignal): Promise<void>
}

/** Where one login has two secrets, that of now and the one before. Each may run again after a crash. */
export type Retaining = {
  /** The new one becomes that of now, and `old` the one before. Throws where there is one before already: it would be cut off. */
  add(
    place: Place,
    act: Act & { readonly old: Secret; readonly secret: Secret; readonly mark: string },
    signal: AbortSignal,
  ): Promise<void>
  /** The one before is let in no more. */
  discard(place: Place, act: Act & { readonly mark: string }, signal: AbortSignal): Promise<void>
  /** Back: the old one is the only one again. */
  restore(place: Place, act: Act & { readonly old: Secret; readonly mark: string }, signal: AbortSignal): Promise<void>
}

/** How one protocol gives a standing login another secret. Each method may run again after a crash, also beside a run of another node. */
export type LoginRotator = {
  readonly protocol: string
  make(random: Random): Secret
  /** Throws `SecretRefused` when the target says that it takes no such secret, and has not taken it. */
  change(place: Place, change: SecretChange, signal: AbortSignal): Promise<void>
  tryLogin(place: Place, login: TargetLogin, signal: AbortSignal): Promise<Tried>
  /** Ends what this login opened longer ago than that. Returns how many were found; undefined where the target has no way to, and they go on. */
  endSessions(place: Place, login: TargetLogin, olderThanMs: number, signal: AbortSignal): Promise<number | undefined>
  readonly turns?: TurnTaking
  readonly slots?: Slots
  readonly retains?: Retaining
  /** Who is connected by these logins now; without it nobody can be seen. */
  seen?(
    place: Place,
    actors: readonly TargetLogin[],
    users: readonly string[],
    signal: AbortSignal,
  ): Promise<Sighting[]>
}

/** The target takes no such secret by rules of its own, and knows the old one still. */
export class SecretRefused extends LeaseFailure {
  override readonly name = 'SecretRefused'
}

/**
 * The target has the mark of a later rotation: this record was restored from a backup and does not know what lives by now. Nothing is
 * ended; a new rotation, which is later than all, sets both right.
 */
export class RecordBehind extends LeaseFailure {
  override readonly name = 'RecordBehind'
}
