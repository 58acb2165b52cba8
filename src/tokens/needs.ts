import type { IdentityNeeds, RecordedIdentities } from '../identities/identities.ts'
import type { Db } from '../kernel/db.ts'
import type { Egress } from '../kernel/egress.ts'
import type { Caller } from '../kernel/http/route.ts'
import type { Log } from '../kernel/log.ts'
import type { Seal } from '../kernel/seal.ts'
import type { SpiffeBundle } from '../kernel/spiffe-bundle.ts'
import type { DecisionPoint } from '../policy/policy.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import type { KeyRing } from './key-ring.ts'
import type { TrustRulesAtHand } from './rules-at-hand.ts'

/** A first-party client that keeps no secret (RFC 6749 §2.1): what it gets is bound to a key that it makes. */
export type PublicClient = {
  readonly id: string
  readonly title: string
  readonly redirectUris: readonly string[]
  /** Where a browser may be sent that logged out for it. */
  readonly postLogoutRedirectUris: readonly string[]
}

/** What the token service works with. */
export type TokenNeeds = Pick<IdentityNeeds, 'clock' | 'random' | 'ledger' | 'teams'> & {
  readonly db: Db
  readonly seal: Seal
  readonly log: Log
  readonly egress: Egress
  readonly ring: KeyRing
  readonly issuerKeys: IssuerKeys
  /** What is remembered of identities and rules: a token is signed and believed by it, and issued by their rows. */
  readonly recorded: RecordedIdentities
  readonly rules: TrustRulesAtHand
  /** What verifies identity documents of a trust domain, as of now: our own or one that is believed. */
  readonly bundleOf: (trustDomain: string) => Promise<SpiffeBundle | undefined>
  readonly decisions: DecisionPoint
  /** What our tokens say made them, and what tokens for us must be meant for: the one address of this installation. */
  readonly issuer: () => string
  /** Other places that our tokens may be for (RFC 8707), as they call themselves. */
  readonly resources: readonly string[]
  /** Whether assertions of persons by their provider are taken (ID-JAG, a draft). */
  readonly takesIdJag: boolean
  /** First-party clients without a secret. */
  readonly publicClients: readonly PublicClient[]
  /** Whether they push what they ask for (RFC 9126), and a browser alone says nothing. */
  readonly mustPush: boolean
  /** Names of identities that may look at the tokens of others. */
  readonly enforcementPoints: ReadonlySet<string>
  /** Who a bearer of one of our tokens is, as for any call of the API. */
  readonly authenticate: (shown: {
    readonly token: string
    readonly keySha256?: string | undefined
    readonly dpopKeySha256?: string | undefined
  }) => Promise<Caller | undefined>
}
