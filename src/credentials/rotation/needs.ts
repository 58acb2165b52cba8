import type { CredentialNeeds } from '../needs.ts'
import type { LoginRotator } from './rotator.ts'

/** What rotation uses. `rotators`: one per protocol whose logins get another secret, given by the composition root. */
export type RotationNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'log'> & {
  readonly rotators: readonly LoginRotator[]
}
