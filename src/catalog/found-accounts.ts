import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'

type Claim = { readonly accountIds: readonly string[]; readonly identityId: string; readonly cause: number }

/**
 * Claims accounts that nobody claims for an identity that is made of what was found; `cause` is the entry that made it. Whose an account is says who
 * answers for it and gives nobody a way in. Returns which were claimed.
 */
export async function claimFoundAccounts(tx: Tx, { accountIds, identityId, cause }: Claim): Promise<readonly string[]> {
  if (accountIds.length === 0) return []
  const rows = await tx
    .updateTable('account')
    .set({ identityId, version: sql<number>`version + 1`, cause })
    .where('id', 'in', accountIds)
    .where('identityId', 'is', null)
    .where('state', '=', 'active')
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}

/** Takes that back where nobody claimed them for another identity meanwhile. Returns which are nobody's again. */
export async function freeFoundAccounts(tx: Tx, { accountIds, identityId, cause }: Claim): Promise<readonly string[]> {
  if (accountIds.length === 0) return []
  const rows = await tx
    .updateTable('account')
    .set({ identityId: null, version: sql<number>`version + 1`, cause })
    .where('id', 'in', accountIds)
    .where('identityId', '=', identityId)
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}
