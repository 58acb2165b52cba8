import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { destroySubjectKey } from '../ledger/ledger.ts'
import { actOf } from './act.ts'
import { changeIdentity } from './change.ts'
import type { Identity } from './contract.ts'
import { identityErased } from './events.ts'
import { lockIdentity, wrongState, type IdentityNeeds } from './record.ts'

/**
 * Erases what is personal of a retired person: their key is destroyed, so entries keep commitments that open no more and the tree still
 * verifies; what stands beside the ledger is emptied. The name stays, as the pseudonym that entries are about.
 */
export async function eraseIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.erase'>,
  input: { readonly reason: string },
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state !== 'retired') throw wrongState(seen, 'Only somebody who is retired is erased: retire them first.')
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: identityErased,
    facts: { reason: input.reason },
  })
  const changed = await changeIdentity(tx, seen, cause, { displayName: null, purpose: null })
  await destroySubjectKey(tx, seen.id, needs.clock.now())
  return changed
}
