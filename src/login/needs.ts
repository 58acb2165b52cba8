import type { TokenNeeds } from '../tokens/tokens.ts'

/** A public client that people log in to; it keeps no secret, so its addresses are what it is known by. */
export type LoginClient = { readonly id: string; readonly title: string; readonly redirectUris: readonly string[] }

/** What logins work with. */
export type LoginNeeds = TokenNeeds & {
  readonly sessionSeconds: number
  readonly idleSeconds: number
  readonly clients: readonly LoginClient[]
}

/** What the rows of logins work with. */
export type SessionNeeds = Pick<LoginNeeds, 'clock' | 'random' | 'ledger' | 'sessionSeconds' | 'idleSeconds'>
