import type { Tx } from '../kernel/db.ts'
import { loadAccountById, loadTarget } from '../catalog/catalog.ts'
import { knownIdentity } from './chain.ts'
import type { GrantFacts } from './proof.ts'

/** What a grant stands on, as it is now. */
export async function factsNow(
  tx: Tx,
  { grant, proofId, proofKind }: Pick<GrantFacts, 'grant' | 'proofId' | 'proofKind'>,
): Promise<GrantFacts> {
  const target = await loadTarget(tx, grant.targetId)
  const account = await loadAccountById(tx, grant.accountId)
  if (!target || !account) throw new Error(`the grant ${grant.id} is for nothing that has a record`)
  return { grant, proofId, proofKind, target, account, subject: await knownIdentity(tx, grant.subjectId) }
}
