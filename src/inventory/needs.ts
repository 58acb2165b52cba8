import type { Connector, SourceHttp } from '../connectors/connector.ts'
import type { Teams } from '../identities/identities.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import type { Fingerprints } from '../kernel/fingerprint.ts'
import type { Log } from '../kernel/log.ts'
import type { Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Consumer } from './schemas.ts'

/** What commands of this folder use. */
export type InventoryNeeds = {
  readonly clock: Clock
  readonly random: Random
  readonly seal: Seal
  readonly ledger: Ledger
  readonly log: Log
  readonly teams: Teams
  readonly fingerprints: Fingerprints
  /** By the id of their manifest. */
  readonly connectors: ReadonlyMap<string, Connector>
  /** HTTP that goes to one origin and nowhere else. */
  readonly httpTo: (address: string) => SourceHttp
  /** Who else is on the record as a user of an account's login; without it only sources tell. */
  readonly holdersOf?: (db: Db, accountId: string) => Promise<readonly Consumer[]>
  /** Names of what Reeve made at targets and answers for as leases. */
  readonly ours: () => Promise<ReadonlySet<string>>
  /** Waits between tries; a hand of the clock in tests. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}
