import type { Egress } from '../../kernel/egress.ts'
import type { Db } from '../../kernel/db.ts'
import type { Identity } from '../../identities/contract.ts'
import type { CredentialNeeds } from '../needs.ts'
import type { LoginRotator } from './rotator.ts'
import type { NotSeen } from './schemas.ts'

/** A place that keeps the secret of an account, as a source told of it. */
export type Keeper = {
  /** The reference in the inventory. */
  readonly id: string
  readonly source: string
  readonly location: string
  readonly readAt: Date
  /** The last login of whoever keeps it there, for each login that was asked of. */
  readonly logins: readonly { readonly user: string; readonly at: Date }[]
}

/** What rotation uses. `rotators`: one per protocol whose logins get another secret, given by the composition root. */
export type RotationNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'log'> & {
  readonly rotators: readonly LoginRotator[]
  /** By what hooks are called; without it there are none. */
  readonly egress?: Egress
  /** Who keeps the secret of an account, as sources tell it now, and when they came in as one of `users`; without it nobody is known by that. */
  readonly keepersOf?: (db: Db, accountId: string, users: readonly string[]) => Promise<readonly Keeper[]>
  /** What sources did not show, of which somebody who uses a login may be a part; without it nothing is read. */
  readonly notSeen?: (db: Db) => Promise<NotSeen>
  readonly hasTeam?: (name: string) => boolean
  /** How many days a login may be old by the governance standard; undefined: it says none. */
  readonly mostDaysOf?: (identity: {
    readonly profile: Identity['profile']
    readonly tier: number
  }) => number | undefined
}
