import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { NODE_DEAD_AFTER_SECONDS } from '../kernel/nodes.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseGivenUp } from './events.ts'
import type { CredentialNeeds } from './needs.ts'

type Needs = Pick<CredentialNeeds, 'clock' | 'ledger'>
type Why = 'issue-failed' | 'never-issued' | 'grant-over' | 'renewed'

/** What there is to give up. */
const STATES = {
  'issue-failed': ['announced'],
  'never-issued': ['announced'],
  'grant-over': ['announced', 'issued'],
  renewed: ['issued'],
} as const

/** Longer than making a lease may take: what is still announced then was given up by a process that lives. That of a dead one is found sooner. */
const ANNOUNCED_SECONDS = 60
/** An ended grant ends its leases in its own transaction; this is for grants that ran out and whose end is late. */
const OVERDUE_SECONDS = 30
const SWEEP_ROWS = 500

/**
 * Makes the leases of a grant open obligations, in the transaction that ends the grant and with its entry as their cause. Returns how
 * many; the obligations' worker sees them once that transaction committed.
 */
export async function endLeasesOf(
  tx: Tx,
  needs: Pick<Needs, 'clock'>,
  ended: { readonly grantId: string; readonly cause: number },
): Promise<number> {
  const now = needs.clock.now()
  const rows = await tx
    .updateTable('lease')
    .set({ state: 'ending', endingAt: now, nextTryAt: now, cause: ended.cause })
    .where('grantId', '=', ended.grantId)
    .where('state', 'in', ['announced', 'issued'])
    .executeTakeFirst()
  return Number(rows.numUpdatedRows)
}

/** Finds leases that nobody will end: announced by a process that died, or usable under a grant that is over. */
export async function sweepLeases(db: Db, needs: Needs): Promise<void> {
  const now = needs.clock.now()
  const abandoned = await db
    .selectFrom('lease')
    .leftJoin('node', 'node.id', 'lease.nodeId')
    .select('lease.id')
    .where('lease.state', '=', 'announced')
    .where((either) =>
      either.or([
        either('lease.announcedAt', '<', secondsAfter(now, -ANNOUNCED_SECONDS)),
        either('node.heartbeatAt', '<', secondsAfter(now, -NODE_DEAD_AFTER_SECONDS)),
        either('node.stoppedAt', 'is not', null),
      ]),
    )
    .limit(SWEEP_ROWS)
    .execute()
  const overdue = await db
    .selectFrom('lease')
    .innerJoin('accessGrant', 'accessGrant.id', 'lease.grantId')
    .select('lease.id')
    .where('lease.state', 'in', ['announced', 'issued'])
    .where((either) =>
      either.or([
        either('accessGrant.endedAt', '<', secondsAfter(now, -OVERDUE_SECONDS)),
        either('accessGrant.expiresAt', '<', secondsAfter(now, -OVERDUE_SECONDS)),
      ]),
    )
    .limit(SWEEP_ROWS)
    .execute()
  await giveUpEach(db, needs, abandoned, 'never-issued')
  await giveUpEach(db, needs, overdue, 'grant-over')
}

async function giveUpEach(db: Db, needs: Needs, rows: readonly { id: string }[], why: Why): Promise<void> {
  if (rows.length === 0) return
  await transact(db, (tx) =>
    giveUp(
      tx,
      needs,
      rows.map((row) => row.id),
      why,
    ),
  )
}

/** Makes leases open obligations: something may stand at the target. Those that are already ending stay as they are. */
export async function giveUp(tx: Tx, needs: Needs, ids: readonly string[], why: Why): Promise<void> {
  const open = tx
    .selectFrom('lease')
    .select(['id', 'grantId'])
    .where('id', 'in', ids)
    .where('state', 'in', STATES[why])
    .orderBy('id')
    .forUpdate()
  // A sweep locks leases of many grants: what another one holds is being ended, and who waits for nobody is in nobody's way.
  const rows = await (why === 'issue-failed' ? open : open.skipLocked()).execute()
  const [first] = rows
  if (!first) return
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    event: leaseGivenUp,
    actor: SYSTEM,
    resource: rows.length === 1 ? { type: 'Lease', id: first.id } : { type: 'Installation', id: 'installation' },
    ...(rows.length === 1 ? { grantId: first.grantId } : {}),
    outcome: 'failed',
    facts: { leaseIds: rows.map((row) => row.id), why },
  })
  await tx
    .updateTable('lease')
    .set({ state: 'ending', endingAt: now, nextTryAt: now, cause })
    .where(
      'id',
      'in',
      rows.map((row) => row.id),
    )
    .execute()
}
