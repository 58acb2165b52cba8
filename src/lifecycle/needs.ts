import type { EndNeeds } from '../access/access.ts'
import type { NotSeen } from '../credentials/contract.ts'
import type { IdentityNeeds } from '../identities/identities.ts'
import type { Db, Tx } from '../kernel/db.ts'
import type { AccountUse } from './contract.ts'

/** What commands of this folder use. */
export type LifecycleNeeds = IdentityNeeds &
  EndNeeds & {
    /** How long an identity stays suspended before it is retired. */
    readonly soakDays: number
    /** Machines and workloads, by name, that are identity providers. */
    readonly providers: ReadonlySet<string>
    /** Machines and workloads, by name, that report ends. */
    readonly senders: ReadonlySet<string>
    /** Tells every node that somebody joined or left a group that a team may follow. */
    readonly onGroupsChanged: (tx: Tx) => Promise<void>
    /** Looks again at what a person does now, because they moved. */
    readonly onMoved: (tx: Tx, personId: string) => Promise<void>
    /** Who uses an account, and whether that can be said; without it only the record is looked at. */
    readonly usersOf?: (db: Db, accountId: string) => Promise<Omit<AccountUse, 'account'>>
    /** What sources did not show, so that who uses an account may be there. */
    readonly notSeen?: (db: Db) => Promise<NotSeen>
    /** Where this installation is, as its clients call it. */
    readonly origin: () => string
  }

export type WithDb = { readonly db: Db }
