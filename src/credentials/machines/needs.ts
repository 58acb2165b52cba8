import type { Db } from '../../kernel/db.ts'
import type { IdentityNeeds } from '../../identities/identities.ts'
import type { SpiffeNeeds } from '../spiffe/authority.ts'

/** What this folder uses where nothing is issued. */
export type PlainMachineNeeds = Omit<MachineNeeds, 'trustDomain'>

/** What this folder uses. */
export type MachineNeeds = SpiffeNeeds &
  Pick<IdentityNeeds, 'teams'> & {
    readonly db: Db
    /** Makes the certificate by which an agent shows the key that its token is bound to. */
    readonly certify: (
      publicKey: string,
      token: { readonly identityId: string; readonly expiresAt: Date },
    ) => Promise<string>
  }
