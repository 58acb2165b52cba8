import { freeFoundAccounts } from '../../catalog/catalog.ts'
import { endAdoptions } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'

type Given = { readonly identityId: string; readonly accountIds: readonly string[] }

/** What was claimed, linked and proposed with adoptions is nobody's again; the identities themselves are still to end. */
export async function giveBack(
  tx: Tx,
  { clock }: { readonly clock: Clock },
  cause: number,
  given: readonly Given[],
): Promise<void> {
  const identityIds = given.map(({ identityId }) => identityId)
  if (identityIds.length === 0) return
  await freeFoundAccounts(
    tx,
    given.map((each) => ({ ...each, cause })),
  )
  await endAdoptions(tx, clock, { identityIds, cause })
  await tx.deleteFrom('ownerCandidate').where('identityId', 'in', identityIds).execute()
  await tx.deleteFrom('serviceCandidate').where('identityId', 'in', identityIds).execute()
}
