import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { loadIdentity, retierIdentity } from '../identities/identities.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { reachOf, type Reach } from './reach.ts'

type Needs = { readonly clock: Clock; readonly ledger: Ledger }

/** Each identity has a transaction of its own; what is left waits for the next call. */
const BATCH = 50
/** What no trigger tells of (days that pass) is seen so much later at most, where there is time for it. */
const AGAIN_SECONDS = 3600

/**
 * Looks at the reach of the identities whose turn it is: those of which something changed first, then those not looked at for the longest time.
 * Every worker calls it; what one holds is left by the others. True when there is more to look at now.
 */
export async function sweepReach(db: Db, needs: Needs): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    select i.id
      from identity i left join identity_reach r on r.identity_id = i.id
     where i.state <> 'retired'
       and (r.identity_id is null or r.is_stale or r.looked_at <= ${secondsAfter(needs.clock.now(), -AGAIN_SECONDS)})
     order by coalesce(r.is_stale, true) desc, r.looked_at nulls first, i.id
     limit ${BATCH}`.execute(db)
  for (const { id } of rows) await transact(db, (tx) => lookAt(tx, needs, id))
  return rows.length === BATCH
}

/** Looks at one identity, unless another worker does. */
async function lookAt(tx: Tx, needs: Needs, id: string): Promise<void> {
  const { rows } =
    await sql`select from identity where id = ${id} and state <> 'retired' for update skip locked`.execute(tx)
  const seen = rows.length === 1 ? await loadIdentity(tx, id) : undefined
  if (!seen) return
  const now = needs.clock.now()
  // Before it is read: what changes from here on makes it stale again.
  await tx
    .insertInto('identityReach')
    .values({ identityId: id, isStale: false, lookedAt: now })
    .onConflict((conflict) => conflict.column('identityId').doUpdateSet({ isStale: false, lookedAt: now }))
    .execute()
  const reach = await reachOf(tx, id, now)
  const before = await tx
    .selectFrom('identityReach')
    .select('isInScope')
    .where('identityId', '=', id)
    .executeTakeFirstOrThrow()
  const tierReached = tierAfter(seen.tierReached, reach)
  const isInScope = reach.isInScope || (before.isInScope && !reach.isComplete)
  await tx
    .updateTable('identityReach')
    .set({ isInScope, isComplete: reach.isComplete, reached: JSON.stringify(reach.reached) })
    .where('identityId', '=', id)
    .execute()
  if (tierReached === seen.tierReached && isInScope === before.isInScope) return
  const { isComplete } = reach
  await retierIdentity(tx, needs, seen, { tierReached, isComplete, isInScope, why: whyOf(reach) })
}

/** Stricter at once; looser only where everything was looked at, since what could not be seen is not gone. */
export function tierAfter(before: number | null, { tier, isComplete }: Pick<Reach, 'tier' | 'isComplete'>) {
  if (before === null) return tier
  return isComplete ? (tier ?? LOWEST) : Math.min(before, tier ?? LOWEST)
}

const LOWEST = 3

function whyOf({ reached, isComplete, unseen, escalation }: Reach): string[] {
  const facts = reached.filter(({ isInScope }, at) => isInScope || at === 0).map(({ fact }) => fact)
  const seen = isComplete ? 'every target was looked at' : `not looked at lately: ${unseen.join(', ')}`
  return [
    seen,
    ...(escalation === null ? [] : [escalation]),
    ...(facts.length === 0 ? ['it reaches nothing that the record knows of'] : facts),
  ]
}
