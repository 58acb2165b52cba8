import { closeUse, type EndedGrant, type EndNeeds } from '../../access/access.ts'
import { transact, type Db } from '../../kernel/db.ts'

const ROWS = 200

/** Closes the uses of credentials that have run out or are ended; ended grants are returned to be announced. */
export async function closeUsesOfIssued(db: Db, needs: EndNeeds): Promise<EndedGrant[]> {
  const rows = await db
    .selectFrom('issuedCredential')
    .innerJoin('grantUse', 'grantUse.id', 'issuedCredential.useId')
    .innerJoin('lease', 'lease.id', 'issuedCredential.leaseId')
    .select('grantUse.id')
    .where('grantUse.state', '=', 'live')
    .where((either) =>
      either.or([
        either('issuedCredential.validBefore', '<=', needs.clock.now()),
        either('lease.state', 'in', ['ending', 'dead']),
      ]),
    )
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
