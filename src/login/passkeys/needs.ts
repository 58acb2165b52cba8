import type { TokenNeeds } from '../../tokens/tokens.ts'

/** What passkeys work with. */
export type PasskeyNeeds = Pick<TokenNeeds, 'db' | 'clock' | 'random' | 'ledger' | 'issuer'>
