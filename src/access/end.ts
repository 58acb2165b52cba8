import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { actorOf } from '../identities/identities.ts'
import { SYSTEM, type Actor } from '../ledger/ledger.ts'
import { grantEnded, grantOver, type EndReason, type Grant } from './contract.ts'
import { reachAccess } from './fault-points.ts'
import type { EndNeeds } from './needs.ts'
import { dropHolds } from './holds/hold.ts'
import { loadGrant } from './read.ts'

/** The channel that tells every node to look at a grant again. */
export const END_CHANNEL = 'reeve_end'

/** What ended, to be announced on this node once the transaction is committed. */
export type EndedGrant = {
  readonly id: string
  readonly reason: EndReason
  readonly endedAt: Date
  /** What who ended it said about it. */
  readonly comment: string | null
}

export type End = {
  readonly grantId: string
  readonly reason: EndReason
  readonly actor?: Actor
  readonly endedById?: string
  readonly comment?: string
  /** Of the policies, where they permit it no more. */
  readonly reasons?: readonly string[]
  readonly permit?: Permit
}

/**
 * The one verb that ends: the row, its entry, what hangs on it and the word to all nodes, in one transaction. Undefined when
 * the grant is over already, which is success.
 */
export async function endGrant(tx: Tx, needs: EndNeeds, end: End): Promise<EndedGrant | undefined> {
  const live = await tx
    .selectFrom('accessGrant')
    .select(['id', 'uses', 'subjectId', 'onBehalfOfId'])
    .where('id', '=', end.grantId)
    .where('endedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!live) return undefined
  const { reason, permit } = end
  const endedAt = needs.clock.now()
  const comment = end.comment ?? null
  const cause = await needs.ledger.record(tx, {
    event: grantEnded,
    actor: end.actor ?? SYSTEM,
    onBehalfOf: live.onBehalfOfId ? [live.onBehalfOfId] : [],
    resource: { type: 'Grant', id: live.id },
    grantId: live.id,
    // What nobody in person said of it is kept as the subject's.
    ...(!end.actor && comment !== null && { subjectId: live.subjectId }),
    outcome: 'done',
    ...(permit && {
      action: permit.action,
      decision: { id: permit.decisionId, policyVersion: permit.policyEpoch },
    }),
    facts: {
      reason,
      endedAt,
      uses: live.uses,
      comment,
      ...(end.reasons && { reasons: [...end.reasons] }),
    },
  })
  const ended = await tx
    .updateTable('accessGrant')
    .set((row) => ({
      endedAt,
      endReason: reason,
      endComment: comment,
      endedById: end.endedById ?? null,
      version: row('version', '+', 1),
      cause,
    }))
    .where('id', '=', live.id)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  if (ended.numUpdatedRows !== 1n) throw new Error(`the grant ${live.id} ended twice under one lock`)
  await dropHolds(tx, needs, { grantId: live.id }, 'Its grant ended.')
  for (const react of needs.onGrantEnded) await react(tx, { grantId: live.id, reason, cause })
  await sql`select pg_notify(${END_CHANNEL}, ${live.id})`.execute(tx)
  await reachAccess('access.grant-ended')
  return { id: live.id, reason, endedAt, comment }
}

/** What grants may hang on. An identity carries those it acts under and those it is acted for. */
export type GrantsOf =
  | { readonly identityId: string }
  | { readonly purposeId: string }
  | { readonly targetId: string }
  | { readonly accountId: string }

/** Ends all live grants of an identity, purpose, target or account in id order; each has its own entry. */
export async function endGrantsOf(
  tx: Tx,
  needs: EndNeeds,
  of: GrantsOf,
  end: Omit<End, 'grantId'>,
): Promise<EndedGrant[]> {
  const rows = await tx
    .selectFrom('accessGrant')
    .select('id')
    .where('endedAt', 'is', null)
    .where((row) => {
      if ('identityId' in of)
        return row.or([row('subjectId', '=', of.identityId), row('onBehalfOfId', '=', of.identityId)])
      if ('purposeId' in of) return row('purposeId', '=', of.purposeId)
      return 'targetId' in of ? row('targetId', '=', of.targetId) : row('accountId', '=', of.accountId)
    })
    .orderBy('id')
    .forUpdate()
    .execute()
  const ended: EndedGrant[] = []
  for (const { id } of rows) {
    const one = await endGrant(tx, needs, { ...end, grantId: id })
    if (one) ended.push(one)
  }
  return ended
}

/** Ends the permit's grant because somebody says so. Throws `grantOver` when it is over. */
export function revokeGrant(
  tx: Tx,
  needs: EndNeeds,
  permit: Permit<'grant.revoke'>,
  input: { readonly reason: string },
): Promise<Grant> {
  return endByPermit(tx, needs, permit, { reason: 'revoked', comment: input.reason })
}

/** The subject itself says that its task is finished. Throws `grantOver` when the grant is over. */
export function finishGrant(tx: Tx, needs: EndNeeds, permit: Permit<'grant.done'>): Promise<Grant> {
  return endByPermit(tx, needs, permit, { reason: 'done' })
}

async function endByPermit(
  tx: Tx,
  needs: EndNeeds,
  permit: Permit,
  end: Pick<End, 'reason' | 'comment'>,
): Promise<Grant> {
  const grantId = permit.resource.id
  const actor = actorOf(permit.subject)
  const ended = await endGrant(tx, needs, { ...end, grantId, actor, endedById: permit.subject.id, permit })
  const grant = await loadGrant(tx, grantId)
  if (!grant) throw notFound('There is no such grant.', { type: 'Grant', id: grantId })
  if (!ended) throw over(grant)
  return grant
}

/** The problem of a grant that is over, also of one that ran out and was not swept yet. */
export function over(grant: Pick<Grant, 'id' | 'endedAt' | 'endReason' | 'expiresAt'>) {
  const reason = grant.endReason ?? 'expired'
  const endedAt = grant.endedAt ?? grant.expiresAt
  return grantOver(`The grant ended at ${endedAt.toISOString()} (${reason}). Request again if it is still needed.`, {
    grantId: grant.id,
    endedAt,
    reason,
  })
}
