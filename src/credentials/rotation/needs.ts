import type { Egress } from '../../kernel/egress.ts'
import type { Identity } from '../../identities/contract.ts'
import type { CredentialNeeds } from '../needs.ts'
import type { LoginRotator } from './rotator.ts'

/** What rotation uses. `rotators`: one per protocol whose logins get another secret, given by the composition root. */
export type RotationNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'log'> & {
  readonly rotators: readonly LoginRotator[]
  /** By what hooks are called; without it there are none. */
  readonly egress?: Egress
  readonly hasTeam?: (name: string) => boolean
  /** How many days a login may be old by the governance standard; undefined: it says none. */
  readonly mostDaysOf?: (identity: {
    readonly profile: Identity['profile']
    readonly tier: number
  }) => number | undefined
}
