import type { Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { changeIdentity, isAccountedFor } from './change.ts'
import type { Identity } from './contract.ts'
import { lockIdentity, type IdentityNeeds } from './record.ts'
import { endOf, keySha256Of, storeToken, type Issued } from './tokens.ts'

/** What the entry of an attested token says. */
type AttestedFacts = {
  readonly identity: Identity
  readonly tokenId: string
  readonly expiresAt: Date
  readonly keySha256: string
  /** Whether the identity begins to act with it. */
  readonly isActivated: boolean
}

/**
 * Gives what is no person a token bound to `publicKey` for something it has just proven; `enter` writes the entry that is its cause. Undefined
 * for an identity that may not act.
 */
export async function giveAttestedToken(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'clock' | 'random'>,
  given: {
    readonly identityId: string
    readonly publicKey: string
    readonly label: string
    readonly ttlSeconds: number
    readonly enter: (facts: AttestedFacts) => Promise<number>
  },
): Promise<(Issued & { readonly identity: Identity; readonly cause: number }) | undefined> {
  const identity = await lockIdentity(tx, given.identityId)
  const now = needs.clock.now()
  const isActivated = identity.state === 'registered'
  if (identity.kind === 'human' || !(isActivated || identity.state === 'active')) return undefined
  if (!isAccountedFor(identity) || (identity.expiresAt !== null && identity.expiresAt <= now)) return undefined
  const keySha256 = keySha256Of(given.publicKey)
  const tokenId = newId(needs.clock, needs.random)
  const expiresAt = endOf(identity, now, given.ttlSeconds)
  const facts = { identity, tokenId, expiresAt, keySha256: keySha256.toString('hex'), isActivated }
  const cause = await given.enter(facts)
  if (isActivated) await changeIdentity(tx, identity, cause, { state: 'active' })
  const row = { id: tokenId, identityId: identity.id, label: given.label, keySha256, createdAt: now, expiresAt, cause }
  return { ...(await storeToken(tx, needs, row)), identity, cause }
}
