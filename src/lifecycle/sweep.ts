import { lockIdentity, unattest, type IdentityAct } from '../identities/identities.ts'
import { transact, type Db } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { ensureCase } from './cases.ts'
import type { LifecycleNeeds } from './needs.ts'

/** One sweep takes at most this many of each; the next one goes on. */
const LIMIT = 100

const ACT: IdentityAct = { actor: SYSTEM, outcome: 'done' }

/** Dates that act by themselves: what expired goes to a case, and what should have been reviewed is attested no more. Returns how many changed. */
export async function sweepDates(db: Db, needs: LifecycleNeeds): Promise<number> {
  return (await openExpired(db, needs)) + (await unattestOverdue(db, needs))
}

async function openExpired(db: Db, needs: LifecycleNeeds): Promise<number> {
  const due = await db
    .selectFrom('identity')
    .leftJoin('lifecycleCase', 'lifecycleCase.identityId', 'identity.id')
    .select('identity.id')
    .where('identity.state', '=', 'suspended')
    .where('identity.expiresAt', '<=', needs.clock.now())
    .where('lifecycleCase.id', 'is', null)
    .orderBy('identity.id')
    .limit(LIMIT)
    .execute()
  for (const { id: identityId } of due) {
    await transact(db, (tx) =>
      ensureCase(tx, needs, ACT, { identityId, reason: 'expired', detail: 'its end has come' }),
    )
  }
  return due.length
}

function overdue(db: Db, needs: LifecycleNeeds) {
  return db
    .selectFrom('identity')
    .select('id')
    .where('ownerState', '=', 'attested')
    .where('reviewBy', '<=', needs.clock.now())
    .where('state', '<>', 'retired')
    .orderBy('id')
    .limit(LIMIT)
}

async function unattestOverdue(db: Db, needs: LifecycleNeeds): Promise<number> {
  const due = await overdue(db, needs).execute()
  for (const { id } of due) {
    await transact(db, async (tx) => {
      const still = await overdue(tx, needs).where('id', '=', id).forUpdate().executeTakeFirst()
      if (!still) return
      const seen = await lockIdentity(tx, id)
      await unattest(tx, needs, ACT, { seen, evidence: 'attested before its review was due' })
    })
  }
  return due.length
}
