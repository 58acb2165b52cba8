import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { actOf } from '../identities/identities.ts'
import { isSatisfied } from '../policy/policy.ts'
import { approvalsOf, personOf } from './approvers.ts'
import { askedOf, chainAsAsked } from './as-asked.ts'
import { assess, type Assessment } from './assess.ts'
import { knownIdentity, tiedTo, type Chain } from './chain.ts'
import {
  accessApproved,
  accessDenied,
  accessVoided,
  accessWithdrawn,
  alreadyApproved,
  boundChanged,
  requestNotPending,
  selfApproval,
  type AccessRequest,
} from './contract.ts'
import { reachAccess } from './fault-points.ts'
import { makeGrant } from './grant.ts'
import type { AccessNeeds, Outcome } from './needs.ts'
import { holdStill, mustLoad } from './request.ts'

/**
 * One person says yes to exactly what was shown (rule 8). Everything is decided again under locks: if what would be granted is
 * no longer what was bound, the request falls, whatever was said before. The last approval that is needed makes the grant.
 */
export async function approveRequest(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'access.approve'>,
  input: { readonly boundSha256: string; readonly comment?: string | undefined },
): Promise<Outcome<AccessRequest>> {
  const request = await lockPending(tx, needs, permit.resource.id)
  const { id } = request
  if (input.boundSha256 !== request.boundSha256.toString('hex')) {
    throw boundChanged('You approved something else than this request asks for. Read it again.', {
      requestId: id,
      state: 'pending',
    })
  }
  await holdStill(tx, await askedOf(tx, request))
  const asked = await askedOf(tx, request)
  const approver = await mayDecide(tx, id, asked.chain, permit)
  const assessment = await assess(tx, needs, asked)
  const reasons = reasonsToVoid(assessment, request.boundSha256)
  if (reasons.length > 0) return voidRequest(tx, needs, permit, { id, reasons, assessment })
  const cause = await needs.ledger.record(tx, {
    event: accessApproved,
    ...actOf(permit),
    facts: { boundSha256: input.boundSha256, comment: input.comment ?? null },
  })
  await speak(tx, needs, { request, approverId: approver, verdict: 'approve', comment: input.comment, cause })
  await reachAccess('access.approval-stored')
  const approvals = await approvalsOf(tx, needs.teams, id)
  if (isSatisfied(assessment.obligations.approval, approvals, assessment.approvalFacts)) {
    await moveRequest(tx, needs, { id, state: 'granted', refusal: null, cause })
    const { excluded } = assessment.approvalFacts
    const counted = approvals.filter(
      ({ approver, teams }) => !excluded.has(approver) && teams.some((team) => assessment.approverTeams.includes(team)),
    )
    const approvers = counted.map((approval) => approval.id)
    await makeGrant(tx, needs, permit, { requestId: id, asked, assessment, approvers })
  }
  return { kind: 'done', value: await mustLoad(tx, id) }
}

/** One person says no, and that is the end of the request. */
export async function denyRequest(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'access.deny'>,
  input: { readonly comment?: string | undefined },
): Promise<AccessRequest> {
  const request = await lockPending(tx, needs, permit.resource.id)
  const approver = await mayDecide(tx, request.id, await chainAsAsked(tx, request), permit)
  const comment = input.comment
  const cause = await needs.ledger.record(tx, {
    event: accessDenied,
    ...actOf(permit),
    facts: { boundSha256: request.boundSha256.toString('hex'), comment: comment ?? null },
  })
  await speak(tx, needs, { request, approverId: approver, verdict: 'deny', comment, cause })
  await moveRequest(tx, needs, { id: request.id, state: 'denied', refusal: 'A person refused it.', cause })
  return mustLoad(tx, request.id)
}

/** Who asked takes it back. */
export async function withdrawRequest(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'access.withdraw'>,
): Promise<AccessRequest> {
  const { id } = await lockPending(tx, needs, permit.resource.id)
  const cause = await needs.ledger.record(tx, { event: accessWithdrawn, ...actOf(permit), facts: {} })
  await moveRequest(tx, needs, { id, state: 'withdrawn', refusal: null, cause })
  return mustLoad(tx, id)
}

type Row = Awaited<ReturnType<typeof lockPending>>

async function lockPending(tx: Tx, needs: AccessNeeds, id: string) {
  const row = await tx.selectFrom('accessRequest').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!row) throw notFound('There is no such request.', { type: 'AccessRequest', id })
  if (row.state !== 'pending') throw notPending(id, row.state)
  // Not swept yet, but nobody may decide on it any more.
  if (row.expiresAt <= needs.clock.now()) throw notPending(id, 'expired')
  return row
}

function notPending(requestId: string, state: AccessRequest['state']) {
  return requestNotPending(`The request is ${state} already.`, { requestId, state })
}

/** Core 6: a distinct person, none of whom is tied to the request, in any of their identities. Returns the identity that speaks. */
async function mayDecide(tx: Tx, requestId: string, chain: Chain, permit: Permit): Promise<string> {
  const approver = await knownIdentity(tx, permit.subject.id)
  const tied = await tiedTo(tx, chain)
  if (approver.kind !== 'human' || tied.has(approver.id) || tied.has(personOf(approver))) {
    throw selfApproval(
      'You asked for this, act in it, own or sponsor who acts in it, or set it off. Somebody else decides.',
      { requestId },
    )
  }
  const person = personOf(approver)
  const spoken = await tx
    .selectFrom('requestApproval')
    .innerJoin('identity', 'identity.id', 'requestApproval.approverId')
    .select(['identity.id', 'identity.ownerId'])
    .where('requestApproval.requestId', '=', requestId)
    .execute()
  if (spoken.some((each) => personOf(each) === person)) {
    throw alreadyApproved('You have spoken on this request already.', { requestId })
  }
  return approver.id
}

function reasonsToVoid(assessment: Assessment, bound: Buffer): string[] {
  const reasons = [...assessment.purposeGaps, ...assessment.owed]
  if (!assessment.isPermitted) reasons.push(...assessment.reasons)
  if (reasons.length === 0 && !assessment.boundSha256.equals(bound)) {
    reasons.push('What would be granted, or a policy that decided it, has changed since it was asked for.')
  }
  return reasons
}

async function voidRequest(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit,
  fallen: { readonly id: string; readonly reasons: readonly string[]; readonly assessment: Assessment },
): Promise<Outcome<AccessRequest>> {
  const { id, reasons, assessment } = fallen
  const cause = await needs.ledger.record(tx, {
    event: accessVoided,
    ...actOf(permit),
    outcome: 'refused',
    facts: { reasons: [...reasons], boundSha256: assessment.boundSha256.toString('hex') },
  })
  const refusal = reasons.join(' ')
  await moveRequest(tx, needs, { id, state: 'void', refusal, cause })
  const problem = boundChanged(`The request fell and has to be made again. ${refusal}`, {
    requestId: id,
    state: 'void',
  })
  return { kind: 'refused', problem }
}

async function speak(
  tx: Tx,
  needs: AccessNeeds,
  said: {
    readonly request: Row
    readonly approverId: string
    readonly verdict: 'approve' | 'deny'
    readonly comment: string | undefined
    readonly cause: number
  },
): Promise<void> {
  const { request, approverId, verdict, cause } = said
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('requestApproval')
    .values({
      requestId: request.id,
      approverId,
      verdict,
      boundSha256: request.boundSha256,
      comment: said.comment ?? null,
      at: needs.clock.now(),
      cause,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow()
  if (numInsertedOrUpdatedRows !== 1n) {
    throw alreadyApproved('You have spoken on this request already.', { requestId: request.id })
  }
}

/** The one way out of pending; the row count is the decision (rule 3). */
export async function moveRequest(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock'>,
  move: {
    readonly id: string
    readonly state: Exclude<AccessRequest['state'], 'pending'>
    readonly refusal: string | null
    readonly cause: number
  },
): Promise<void> {
  const { id, state, refusal, cause } = move
  const { numUpdatedRows } = await tx
    .updateTable('accessRequest')
    .set((row) => ({ state, refusal, decidedAt: needs.clock.now(), version: row('version', '+', 1), cause }))
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw notPending(id, state)
}
