import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LeaseWriter } from './writer.ts'

/** What this folder uses. `writers`: one per protocol whose credentials we make, given by the composition root. */
export type CredentialNeeds = {
  /** This process, among others that make leases. */
  readonly nodeId: string
  readonly clock: Clock
  readonly random: Random
  readonly ledger: Ledger
  readonly seal: Seal
  readonly log: Log
  readonly writers: readonly LeaseWriter[]
}
