import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { NODE_DEAD_AFTER_SECONDS } from '../kernel/nodes.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { moveRequest } from './approve.ts'
import { expireChanges } from './changes/changes.ts'
import { accessExpired, type EndReason } from './contract.ts'
import { endGrant, type EndedGrant } from './end.ts'
import { expireHolds } from './holds/hold.ts'
import { HEARTBEAT_LATE_SECONDS } from './grant.ts'
import type { EndNeeds } from './needs.ts'
import { abandonUses } from './use.ts'

/** One transaction holds its locks for this many rows at most; what is left waits for the next call. */
const BATCH = 100

export type Swept = {
  readonly expiredRequests: number
  readonly ended: readonly EndedGrant[]
  readonly isMore: boolean
}

/**
 * Makes true in the rows what time has decided: requests nobody decided, grants that ran out, commands that stopped beating.
 * Every node calls it each second; rows that another one holds are left to it. Gateways do not wait for it, they have their own
 * deadlines. Announce what is returned.
 */
export async function sweepAccess(db: Db, needs: EndNeeds): Promise<Swept> {
  const expiredRequests = await transact(db, (tx) => expireRequests(tx, needs))
  const areMoreChanges = await transact(db, (tx) => expireChanges(tx, needs))
  const areMoreHolds = await transact(db, (tx) => expireHolds(tx, needs))
  const expired = await transact(db, (tx) => endAll(tx, needs, 'expired', ranOut(tx, needs)))
  const silent = await transact(db, (tx) => endAll(tx, needs, 'heartbeat-missed', stoppedBeating(tx, needs)))
  const isMore =
    areMoreChanges || areMoreHolds || [expiredRequests, expired.length, silent.length].some((count) => count === BATCH)
  return { expiredRequests, ended: [...expired, ...silent], isMore }
}

/** Gives back or closes what dead nodes and stopped ones still hold of grants. Announce what is returned. */
export async function sweepUses(db: Db, needs: EndNeeds, nodeId: string): Promise<EndedGrant[]> {
  const deadSince = secondsAfter(needs.clock.now(), -NODE_DEAD_AFTER_SECONDS)
  const dead = await db
    .selectFrom('grantUse')
    .innerJoin('node', 'node.id', 'grantUse.nodeId')
    .select('node.id')
    .distinct()
    .where('grantUse.state', 'in', ['reserved', 'live'])
    .where('node.id', '!=', nodeId)
    .where((where) => where.or([where('node.heartbeatAt', '<', deadSince), where('node.stoppedAt', 'is not', null)]))
    .execute()
  const ended: EndedGrant[] = []
  for (const { id } of dead) ended.push(...(await transact(db, (tx) => abandonUses(tx, needs, id))))
  return ended
}

async function expireRequests(tx: Tx, needs: EndNeeds): Promise<number> {
  const rows = await tx
    .selectFrom('accessRequest')
    .select('id')
    .where('state', '=', 'pending')
    .where('expiresAt', '<=', needs.clock.now())
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .skipLocked()
    .execute()
  for (const { id } of rows) {
    const cause = await needs.ledger.record(tx, {
      event: accessExpired,
      actor: SYSTEM,
      resource: { type: 'AccessRequest', id },
      outcome: 'done',
      facts: {},
    })
    await moveRequest(tx, needs, { id, state: 'expired', refusal: 'Nobody decided in time.', cause })
  }
  return rows.length
}

function ranOut(tx: Tx, needs: EndNeeds): Promise<{ id: string }[]> {
  return tx
    .selectFrom('accessGrant')
    .select('id')
    .where('endedAt', 'is', null)
    .where('expiresAt', '<=', needs.clock.now())
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .skipLocked()
    .execute()
}

function stoppedBeating(tx: Tx, needs: EndNeeds): Promise<{ id: string }[]> {
  const lateBefore = secondsAfter(needs.clock.now(), -HEARTBEAT_LATE_SECONDS)
  return tx
    .selectFrom('accessGrant')
    .select('id')
    .where('endedAt', 'is', null)
    .where('isKeptAlive', '=', true)
    .where(
      sql<boolean>`not exists (select from grant_heartbeat h where h.grant_id = access_grant.id and h.at >= ${lateBefore})`,
    )
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .skipLocked()
    .execute()
}

async function endAll(
  tx: Tx,
  needs: EndNeeds,
  reason: EndReason,
  found: Promise<readonly { id: string }[]>,
): Promise<EndedGrant[]> {
  const ended: EndedGrant[] = []
  for (const { id } of await found) {
    const one = await endGrant(tx, needs, { grantId: id, reason })
    if (one) ended.push(one)
  }
  return ended
}
