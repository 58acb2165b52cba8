import { closeUse, type EndedGrant, type EndNeeds } from '../../access/access.ts'
import { transact, type Db } from '../../kernel/db.ts'

const ROWS = 200

/** Closes the uses of certificates that have run out; ended grants are returned to be announced. */
export async function closeUsesOfExpired(db: Db, needs: EndNeeds): Promise<EndedGrant[]> {
  const rows = await db
    .selectFrom('sshCertificate')
    .innerJoin('grantUse', 'grantUse.id', 'sshCertificate.useId')
    .select('grantUse.id')
    .where('grantUse.state', '=', 'live')
    .where('sshCertificate.validBefore', '<=', needs.clock.now())
    .orderBy('grantUse.id')
    .limit(ROWS)
    .execute()
  const ended: EndedGrant[] = []
  // One at a time: each takes the lock of its grant.
  for (const { id } of rows) {
    const one = await transact(db, (tx) => closeUse(tx, needs, { useId: id }))
    if (one) ended.push(one)
  }
  return ended
}
