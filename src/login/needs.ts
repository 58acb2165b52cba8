import type { TokenNeeds } from '../tokens/tokens.ts'
import type { Provider } from './oidc/provider.ts'
import type { Html } from './page.ts'

/** What logins work with. */
export type LoginNeeds = TokenNeeds & {
  readonly sessionSeconds: number
  readonly idleSeconds: number
  /** Further ways to log in, as links of the login page, for a path of ours to go on at. */
  readonly otherWays: (returnTo: string) => readonly Html[]
  readonly providers: readonly Provider[]
}

/** What the rows of logins work with. */
export type SessionNeeds = Pick<LoginNeeds, 'clock' | 'random' | 'ledger' | 'sessionSeconds' | 'idleSeconds'>
