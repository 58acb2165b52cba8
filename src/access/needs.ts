import type { Clock } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import type { Problem } from '../kernel/problem.ts'
import type { Random } from '../kernel/random.ts'
import type { Teams } from '../identities/identities.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Calendar, DecisionPoint, HoldClass } from '../policy/policy.ts'
import type { EndReason } from './contract.ts'
import type { StandingOf } from './standing.ts'

/** Called in the transaction that ends a grant: whoever stands higher marks what hangs on it (leases). */
type OnGrantEnded = (
  tx: Tx,
  ended: { readonly grantId: string; readonly reason: EndReason; readonly cause: number },
) => Promise<void>

/** What ending takes: less than the rest, since identities, purposes and the sweeper end grants too. */
export type EndNeeds = {
  readonly clock: Clock
  readonly ledger: Ledger
  readonly onGrantEnded: readonly OnGrantEnded[]
}

/** What commands of this folder use. */
export type AccessNeeds = EndNeeds & {
  readonly random: Random
  readonly teams: Teams
  readonly decisions: DecisionPoint
  readonly calendar: Calendar
  readonly recordingOf?: (protocol: string, actions: readonly string[]) => 'none' | 'meta' | 'full'
  /** What the standard says of an identity. */
  readonly standing: StandingOf
  /** The classes of operations that the gateway of a protocol can hold for a person; none where this is left out. */
  readonly holdsOf?: (protocol: string) => readonly HoldClass[]
}

/**
 * What a command that decides gives back. A refusal is a value and not an exception, since its entry must be committed;
 * the route throws the problem afterwards.
 */
export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly problem: Problem }
