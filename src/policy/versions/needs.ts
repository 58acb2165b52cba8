import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Log } from '../../kernel/log.ts'
import type { Random } from '../../kernel/random.ts'
import type { Teams } from '../../identities/identities.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Engine } from '../evaluate.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { PolicySet } from '../policy-set.ts'
import type { PolicySchema } from '../schema.ts'

/** What starts with this is a hint that other policies may decide. */
export const POLICY_HINT = 'policy:'

export type PolicyVersionNeeds = {
  readonly db: Db
  readonly clock: Clock
  readonly random: Random
  readonly ledger: Ledger
  readonly teams: Teams
  readonly log: Log
  readonly engine: LiveEngine
  /** Of this release and its gateways: what every version is checked against. */
  readonly schema: PolicySchema
  readonly open: (set: PolicySet) => Promise<Engine>
  /** Tells every node to look, when the transaction commits. */
  readonly announce: (tx: Tx, hint: string) => Promise<void>
}

/** The version of the policies that the database says decides, as this node follows it. */
export type LivePolicies = AsyncDisposable & {
  /** Looks whether another version decides, and swaps to it. Resolves when this node decides by it, or denies because it cannot. */
  refresh(): Promise<void>
  /** A hint from the database, or undefined after a reconnection. */
  heard(hint: string | undefined): void
  /** False while this node cannot load what decides: it denies everything then, and takes no traffic. */
  isLoaded(): boolean
  /** The number of the activation that this node decides by. */
  seq(): number
}
