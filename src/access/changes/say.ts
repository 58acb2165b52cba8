import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { actOf, teamsAsOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { isSatisfied } from '../../policy/policy.ts'
import { groupsAt, personOf } from '../approvers.ts'
import { knownIdentity } from '../chain.ts'
import { alreadyApproved, boundChanged, selfApproval } from '../problems.ts'
import { tiedToAny } from './consider.ts'
import { changeApprovedAlready, type Change, type ChangeState } from './contract.ts'
import { changeApproved, changeDenied, changeExpired, changeWithdrawn } from './events.ts'
import { reachChange } from './fault-points.ts'
import type { ChangeNeeds } from './needs.ts'
import { approvalsOf, gateOf, lockOpen, mustLoad, over, type LockedChange } from './records.ts'

/** As long as somebody has to approve it: who asked is told, and comes back the same day. */
const APPROVED_SECONDS = 8 * 3600

/**
 * One person says yes to exactly what was shown (rule 8). Whether it still is what would run is decided when it is used; here only the hash of what
 * was seen counts. The last approval that is needed makes it usable, once, by who asked.
 */
export async function approveChange(
  tx: Tx,
  needs: ChangeNeeds,
  permit: Permit<'change.approve'>,
  input: { readonly boundSha256: string; readonly comment?: string | undefined },
): Promise<Change> {
  const row = await lockOpen(tx, needs, permit.resource.id)
  const { id, state } = row
  if (state === 'approved')
    throw changeApprovedAlready('Enough people approved it; it waits to be applied.', { changeId: id })
  if (input.boundSha256 !== row.boundSha256.toString('hex')) {
    throw boundChanged('You approved something else than this change is. Read it again.', {
      requestId: id,
      state: 'pending',
    })
  }
  const approverId = await mayDecide(tx, row, permit)
  const { gates, facts } = await gateOf(tx, row)
  const approver = await knownIdentity(tx, approverId)
  const teams = await teamsAsOf(tx, needs.teams)
  const own = { approver: personOf(approver), ...groupsAt(teams, approver.name, needs.clock.now()) }
  const isEnough = isSatisfied(gates, [...(await approvalsOf(tx, teams, id)), own], facts)
  const comment = input.comment ?? null
  const cause = await needs.ledger.record(tx, {
    event: changeApproved,
    ...actOf(permit),
    facts: { boundSha256: input.boundSha256, isEnough, comment },
  })
  await speak(tx, needs, { row, approverId, verdict: 'approve', comment, cause })
  await reachChange('change.approval-stored')
  if (isEnough) await moveChange(tx, needs, { id, from: 'pending', to: 'approved', refusal: null, cause })
  return mustLoad(tx, id)
}

/** One person says no, and that is the end of the change, as long as it was not used. */
export async function denyChange(
  tx: Tx,
  needs: ChangeNeeds,
  permit: Permit<'change.deny'>,
  input: { readonly comment?: string | undefined },
): Promise<Change> {
  const row = await lockOpen(tx, needs, permit.resource.id)
  const approverId = await mayDecide(tx, row, permit)
  const comment = input.comment ?? null
  const cause = await needs.ledger.record(tx, {
    event: changeDenied,
    ...actOf(permit),
    facts: { boundSha256: row.boundSha256.toString('hex'), comment },
  })
  await speak(tx, needs, { row, approverId, verdict: 'deny', comment, cause })
  await moveChange(tx, needs, { id: row.id, from: row.state, to: 'denied', refusal: 'A person refused it.', cause })
  return mustLoad(tx, row.id)
}

/** Who asked takes it back. */
export async function withdrawChange(tx: Tx, needs: ChangeNeeds, permit: Permit<'change.withdraw'>): Promise<Change> {
  const { id, state } = await lockOpen(tx, needs, permit.resource.id)
  const cause = await needs.ledger.record(tx, { event: changeWithdrawn, ...actOf(permit), facts: {} })
  await moveChange(tx, needs, { id, from: state, to: 'withdrawn', refusal: null, cause })
  return mustLoad(tx, id)
}

/** Core 6: a distinct person, not tied to the change, in any of their identities. Returns the identity that speaks. */
async function mayDecide(tx: Tx, row: LockedChange, permit: Permit): Promise<string> {
  const approver = await knownIdentity(tx, permit.subject.id)
  const tied = await tiedToAny(tx, [row.requesterId, ...row.tiedIds])
  const person = personOf(approver)
  if (approver.kind !== 'human' || tied.has(approver.id) || tied.has(person)) {
    throw selfApproval('You asked for this, or it is about you or what you own or sponsor. Somebody else decides.', {
      requestId: row.id,
    })
  }
  const spoken = await tx
    .selectFrom('changeApproval')
    .innerJoin('identity', 'identity.id', 'changeApproval.approverId')
    .select(['identity.id', 'identity.ownerId'])
    .where('changeApproval.changeId', '=', row.id)
    .execute()
  if (spoken.some((each) => personOf(each) === person)) {
    throw alreadyApproved('You have spoken on this change already.', { requestId: row.id })
  }
  return approver.id
}

async function speak(
  tx: Tx,
  needs: Pick<ChangeNeeds, 'clock'>,
  said: {
    readonly row: LockedChange
    readonly approverId: string
    readonly verdict: 'approve' | 'deny'
    readonly comment: string | null
    readonly cause: number
  },
): Promise<void> {
  const { row, approverId, verdict, comment, cause } = said
  const { boundSha256 } = row
  const at = needs.clock.now()
  await tx
    .insertInto('changeApproval')
    .values({ changeId: row.id, approverId, verdict, boundSha256, comment, at, cause })
    .execute()
}

type Move = {
  readonly id: string
  readonly from: 'pending' | 'approved'
  readonly to: Exclude<ChangeState, 'pending'>
  readonly refusal: string | null
  readonly cause: number
}

/** The one way from state to state; the row count is the decision (rule 3). What is over keeps nothing of its input. */
export async function moveChange(tx: Tx, needs: Pick<ChangeNeeds, 'clock'>, move: Move): Promise<void> {
  const { id, from, to, refusal, cause } = move
  const now = needs.clock.now()
  const { numUpdatedRows } = await tx
    .updateTable('change')
    .set((row) => ({
      state: to,
      refusal,
      ...(from === 'pending' && { decidedAt: now }),
      ...(to === 'approved' ? { expiresAt: secondsAfter(now, APPROVED_SECONDS) } : { sealedInput: null }),
      ...(to === 'used' && { usedAt: now }),
      version: row('version', '+', 1),
      cause,
    }))
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw over(id, to)
}

/** One transaction holds its locks for this many rows at most; what is left waits for the next call. */
const BATCH = 100

/** Ends what nobody decided on, and what was approved and never applied. Returns whether there is more. */
export async function expireChanges(tx: Tx, needs: Pick<ChangeNeeds, 'clock' | 'ledger'>): Promise<boolean> {
  const rows = await tx
    .selectFrom('change')
    .select(['id', 'state'])
    .where('state', 'in', ['pending', 'approved'])
    .where('expiresAt', '<=', needs.clock.now())
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .skipLocked()
    .execute()
  for (const { id, state } of rows) {
    const resource = { type: 'Change', id }
    const cause = await needs.ledger.record(tx, {
      event: changeExpired,
      actor: SYSTEM,
      resource,
      outcome: 'done',
      facts: {},
    })
    const from = state === 'approved' ? state : 'pending'
    const refusal = from === 'pending' ? 'Nobody decided in time.' : 'It was approved and not applied in time.'
    await moveChange(tx, needs, { id, from, to: 'expired', refusal, cause })
  }
  return rows.length === BATCH
}
