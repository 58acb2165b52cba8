import type { Proof } from '../identities/identities.ts'
import type { Tx } from '../kernel/db.ts'
import type { Binding } from './binding.ts'
import type { Narrowed } from './details.ts'
import type { Holder } from './known-rules.ts'
import type { TokenSession } from './public-client.ts'
import type { OnceOnly } from './used-proofs.ts'

/** One access token, as it was asked for by somebody who has proven who they are. */
export type Issuing = {
  readonly grantType: string
  readonly identity: Holder
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  readonly parentId: string | null
  readonly ruleId: string | null
  /** Every rule that any of this stands on. */
  readonly ruleIds: readonly string[]
  readonly proof: Proof
  readonly binding: Binding | undefined
  readonly isBound: boolean
  readonly ttlSeconds: number
  /** Until when what was shown is good. */
  readonly notAfter: readonly Date[]
  readonly details: Narrowed | null
  /** Another place than this API. */
  readonly audience: string | null
  readonly once: readonly OnceOnly[]
  readonly jti: string | null
  /** The login of a person that it is given for, and ends with. */
  readonly session: TokenSession | null
  /** By what a provider's word of the person is believed: it ends with either. */
  readonly asserted?: { readonly linkId: string; readonly ruleId: string } | undefined
  /** What is spent by issuing it, in the same transaction. Throws `OAuthError`. */
  readonly claim?: (tx: Tx, tokenId: string) => Promise<void>
}
