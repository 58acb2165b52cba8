import type { Db, Tx } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { actOf } from '../identities/identities.ts'
import type { Lease, LeaseQuery } from './contract.ts'
import { leaseWoken } from './events.ts'
import type { CredentialNeeds } from './needs.ts'

/** The columns a lease is shown with: never its secret, terms or the writer's own notes. */
function leases(db: Db) {
  return db
    .selectFrom('lease')
    .innerJoin('target', 'target.id', 'lease.targetId')
    .innerJoin('account', 'account.id', 'lease.accountId')
    .select([
      'lease.id',
      'lease.grantId',
      'lease.targetId',
      'target.name as targetName',
      'target.ownerTeam',
      'lease.accountId',
      'account.name as accountName',
      'lease.kind',
      'lease.principal',
      'lease.state',
      'lease.revocability',
      'lease.residualBefore',
      'lease.announcedAt',
      'lease.issuedAt',
      'lease.endingAt',
      'lease.deadAt',
      'lease.nextTryAt',
      'lease.attempts',
      'lease.lastError',
      'lease.escalation',
      'lease.evidence',
    ])
}

/** Oldest first: ids sort by birth. */
export async function listLeases(db: Db, query: LeaseQuery): Promise<Page<Lease>> {
  let rows = leases(db).orderBy('lease.id')
  const after = idAfter(query.cursor)
  if (after !== undefined) rows = rows.where('lease.id', '>', after)
  if (query.state) rows = rows.where('lease.state', '=', query.state)
  if (query.open === true) rows = rows.where('lease.state', '<>', 'dead')
  if (query.open === false) rows = rows.where('lease.state', '=', 'dead')
  if (query.target) rows = rows.where('target.name', '=', query.target)
  if (query.grantId) rows = rows.where('lease.grantId', '=', query.grantId)
  return pageAfter(await rows.limit(query.limit + 1).execute(), query.limit, (lease) => lease.id)
}

export async function readLease(db: Db, id: string): Promise<Lease> {
  const lease = await leases(db).where('lease.id', '=', id).executeTakeFirst()
  if (!lease) throw notFound('There is no such lease.', { type: 'Lease', id })
  return lease
}

/** Makes an open lease due now. The obligations' worker of any node takes it. */
export async function retryLease(
  tx: Tx,
  needs: Pick<CredentialNeeds, 'clock' | 'ledger'>,
  permit: Permit<'lease.retry'>,
): Promise<Lease> {
  const { id } = permit.resource
  const { state, grantId } = await readLease(tx, id)
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: leaseWoken, grantId, facts: {} })
  const woken = await tx
    .updateTable('lease')
    .set({ nextTryAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('state', '=', 'ending')
    .executeTakeFirst()
  if (woken.numUpdatedRows !== 1n) {
    throw conflict('Only a lease that is being ended can be tried again.', { type: 'Lease', id, state })
  }
  return readLease(tx, id)
}

/** What policies know of a lease. */
export async function leaseResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('lease')
    .innerJoin('target', 'target.id', 'lease.targetId')
    .innerJoin('accessGrant', 'accessGrant.id', 'lease.grantId')
    .innerJoin('accessRequest', 'accessRequest.id', 'accessGrant.requestId')
    .select([
      'lease.state',
      'target.environment',
      'target.ownerTeam',
      'accessGrant.subjectId',
      'accessGrant.onBehalfOfId',
      'accessRequest.requesterId',
    ])
    .where('lease.id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such lease.', { type: 'Lease', id })
  return {
    type: 'Lease',
    id,
    attributes: {
      id,
      state: row.state,
      subjectId: row.subjectId,
      requestedBy: row.requesterId,
      ...(row.onBehalfOfId === null ? {} : { onBehalfOfId: row.onBehalfOfId }),
      environment: row.environment,
      ownerTeam: linkTo('Team', row.ownerTeam),
    },
  }
}

/** For `/metrics`: leases by state, by escalation, and the age of the oldest that does not end. */
export type LeaseCounts = {
  readonly announced: number
  readonly issued: number
  readonly ending: number
  readonly escalated: { readonly owner: number; readonly security: number }
  readonly oldestEndingSeconds: number
}

export async function countLeases(db: Db, needs: Pick<CredentialNeeds, 'clock'>): Promise<LeaseCounts> {
  const rows = await db
    .selectFrom('lease')
    .select((each) => [
      'state',
      'escalation',
      each.fn.countAll<number>().as('leases'),
      each.fn.min('endingAt').as('oldestAt'),
    ])
    .where('state', '<>', 'dead')
    .groupBy(['state', 'escalation'])
    .execute()
  const count = (isCounted: (row: (typeof rows)[number]) => boolean) =>
    rows.filter(isCounted).reduce((sum, row) => sum + row.leases, 0)
  const nowMs = needs.clock.now().getTime()
  const oldestMs = rows.reduce((ms, row) => Math.min(ms, row.oldestAt?.getTime() ?? nowMs), nowMs)
  return {
    announced: count((row) => row.state === 'announced'),
    issued: count((row) => row.state === 'issued'),
    ending: count((row) => row.state === 'ending'),
    escalated: {
      owner: count((row) => row.escalation === 'owner'),
      security: count((row) => row.escalation === 'security'),
    },
    oldestEndingSeconds: Math.max(0, Math.round((nowMs - oldestMs) / 1000)),
  }
}
