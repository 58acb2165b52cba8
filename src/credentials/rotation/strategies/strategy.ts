/**
 * What a way of rotating promises, declared, and what it does at each arrow that is its own. The machine (`steps.ts`) is the same for all: it
 * seals, proves, records, waits and goes back; a strategy only acts at the target. Each act may run again after a crash.
 */
import type { Db } from '../../../kernel/db.ts'
import type { Secret } from '../../../kernel/secret.ts'
import type { Claimed } from '../claim.ts'
import type { Rotation } from '../contract.ts'
import type { RotationNeeds } from '../needs.ts'
import type { LoginRotator, Place } from '../rotator.ts'
import type { Way } from '../way.ts'

/** One rotation at one arrow. */
export type Work = {
  readonly db: Db
  readonly needs: RotationNeeds
  readonly rotator: LoginRotator
  readonly place: Place
  readonly way: Way
  readonly signal: AbortSignal
}

export type Strategy = {
  readonly name: Rotation['strategy']
  /** What the target can do; undefined: whatever its protocol. Why it cannot, in a sentence. */
  readonly impossibleAt?: (rotator: LoginRotator) => string | undefined
  /** How many secrets the target knows at once. With one, the old secret dies as the new one is issued. */
  readonly coexisting: 1 | 2
  /** Whether somebody else may hold a copy: then each must be seen with the new one before the old one ends. */
  readonly copies: 'none' | 'held'
  /** Who makes the new secret. */
  readonly maker: 'reeve' | 'person' | 'target'
  /** Whether a session at the target tells by which of two secrets it came; without it a person's word counts. */
  readonly showsWho: boolean
  /** The login that gets the new secret, where it is another one. */
  readonly nextUser?: (way: Way, accountName: string, principal: string) => string | null
  /** The target gets to know the secret. Throws `SecretRefused` where its rules forbid it. */
  readonly issue: (work: Work, at: Claimed, secret: Secret | undefined) => Promise<void>
  /** Those who hold a copy are told that there is a new one. Returns what they answered. */
  readonly tell?: (work: Work, at: Claimed) => Promise<void>
  /** Ends the use of one login in a way that can be taken back; without it, issuing the new one did. */
  readonly disable?: (work: Work, at: Claimed, user: string) => Promise<void>
  readonly enable?: (work: Work, at: Claimed, user: string) => Promise<void>
  /** Ends it for good. */
  readonly revoke?: (work: Work, at: Claimed, user: string) => Promise<void>
  /** Whether that also ends what was opened with it. */
  readonly endsSessions: (rotator: LoginRotator) => boolean
  /** Takes away what the target made for a process that died before it sealed it. Only where the target makes secrets. */
  readonly undo?: (work: Work, at: Claimed) => Promise<void>
}
