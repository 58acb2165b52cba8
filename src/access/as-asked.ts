import type { Selectable } from 'kysely'
import type { Db } from '../kernel/db.ts'
import type { AccessRequestTable } from '../kernel/schema.gen.ts'
import { findPurpose, loadAccountById, loadActions, loadTarget } from '../catalog/catalog.ts'
import type { Asked } from './asked.ts'
import { knownIdentity, type Chain } from './chain.ts'
import type { RiskShown } from './contract.ts'
import type { AccessNeeds } from './needs.ts'
import { riskOfAct, riskShown } from './risk.ts'

type Row = Selectable<AccessRequestTable>

/** Who asked, as their records stand now. */
export async function chainAsAsked(db: Db, row: Row): Promise<Chain> {
  const other = (id: string | null) => (id === null ? null : knownIdentity(db, id))
  return {
    requester: await knownIdentity(db, row.requesterId),
    subject: await knownIdentity(db, row.subjectId),
    onBehalfOf: await other(row.onBehalfOfId),
    triggeredBy: await other(row.triggeredById),
    proof: row.proof,
  }
}

/** The request as its records stand now. */
export async function askedOf(db: Db, row: Row): Promise<Asked> {
  const target = await loadTarget(db, row.targetId)
  const account = await loadAccountById(db, row.accountId)
  if (!target || !account) throw new Error(`the request ${row.id} names records that are gone`)
  return {
    chain: await chainAsAsked(db, row),
    target,
    account,
    purpose: await findPurpose(db, row.purposeId),
    actions: row.actions,
    ticket: row.ticket,
    task: row.task,
    reason: row.reason,
    ttlSeconds: row.ttlSeconds,
    uses: row.uses,
    connections: row.connections,
    isKeptAlive: row.isKeptAlive,
    stepUp: row.stepUp,
  }
}

/** The risk of what a pending request asks for, as it is now; null for one that is decided or unknown. */
export async function riskOfPending(
  db: Db,
  needs: Pick<AccessNeeds, 'clock' | 'calendar' | 'decisions' | 'standing'>,
  requestId: string,
): Promise<RiskShown | null> {
  const row = await db
    .selectFrom('accessRequest')
    .selectAll()
    .where('id', '=', requestId)
    .where('state', '=', 'pending')
    .executeTakeFirst()
  if (!row) return null
  const asked = await askedOf(db, row)
  const entries = await loadActions(db, asked.actions)
  return riskShown((await riskOfAct(db, needs, asked, { entries, address: undefined })).risk)
}
