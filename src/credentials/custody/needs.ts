import type { CredentialNeeds } from '../needs.ts'

/** What commands of this folder use. */
export type CustodyNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal'> & {
  readonly hasTeam: (name: string) => boolean
}
