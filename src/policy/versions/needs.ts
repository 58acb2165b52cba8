import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Log } from '../../kernel/log.ts'
import type { Random } from '../../kernel/random.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { World } from './kind.ts'

/** What starts with this is a hint that other rules may decide. */
export const RULES_HINT = 'rules:'

export type RuleNeeds = {
  readonly db: Db
  readonly clock: Clock
  readonly random: Random
  readonly ledger: Ledger
  readonly log: Log
  /** Denies everything while this node cannot load what holds. */
  readonly engine: LiveEngine
  /** Tells every node to look, when the transaction commits. */
  readonly announce: (tx: Tx, hint: string) => Promise<void>
  /** Told when this node decides by another version than before. */
  readonly onTaken: () => void
}

/** What a version would have meant for decisions that are recorded, in sentences. */
export type SimulateRules = (candidate: World) => Promise<readonly string[]>

/** The version of one kind of rules that the database says holds, as this node follows it. */
export type LiveRules = AsyncDisposable & {
  /** Looks whether another version holds, and takes it. Resolves when this node decides by it, or denies because it cannot. */
  refresh(): Promise<void>
  /** A hint from the database, or undefined after a reconnection. */
  heard(hint: string | undefined): void
  /** False while this node cannot load what holds: it denies everything then, and takes no traffic. */
  isLoaded(): boolean
  /** The number of the activation that this node decides by. */
  seq(): number
}
