import { secondsAfter } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { canonicalText, SYSTEM } from '../../ledger/ledger.ts'
import { missingApprovals, printApproval, type ApprovalExpression } from '../../policy/policy.ts'
import { approverTeamsOf, rosterOf } from '../approvers.ts'
import { tiedToAny } from '../changes/consider.ts'
import type { AccessNeeds, EndNeeds } from '../needs.ts'
import { holdDropped, holdExpired, holdMade, holdUsed } from './events.ts'
import { reachHold } from './fault-points.ts'
import { isOpen, lockHold } from './records.ts'
import { MOST_SHOWN, type HoldState } from './schemas.ts'

/** An operation as the gateway shows it: without values (core 13). */
export type Holding = {
  readonly useId: string
  readonly class: string
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly gates: readonly ApprovalExpression[]
  readonly forSeconds: number
}

export type HoldMade =
  | { readonly kind: 'held'; readonly id: string; readonly expiresAt: Date; readonly missing: readonly string[] }
  | { readonly kind: 'refused'; readonly sentence: string }

/**
 * Puts one operation before people. Nothing runs by it. Refused where the grant is over, nobody could release it (rule 9), or it is too
 * long to be looked at.
 */
export async function makeHold(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock' | 'random' | 'ledger' | 'teams'>,
  holding: Holding,
): Promise<HoldMade> {
  const { useId, gates, statement, label, action } = holding
  if (statement.length > MOST_SHOWN) {
    return refused(`It is longer than the ${MOST_SHOWN} characters that can be put before a person.`)
  }
  const now = needs.clock.now()
  const found = await standingOf(tx, useId, now)
  if (!found) return refused('Its grant is over.')
  const { ownerOfTarget, ownerOfSubject } = found
  const tied = [found.requesterId, found.subjectId, found.onBehalfOfId, found.triggeredById]
  const excluded = await tiedToAny(
    tx,
    tied.filter((each) => each !== null),
  )
  const facts = { ownerOfTarget, ownerOfSubject, excluded }
  const approverTeams = approverTeamsOf(gates, facts)
  const lacking = missingApprovals(gates, await rosterOf(tx, needs.teams, approverTeams, now), facts)
  if (lacking.length > 0) {
    return refused(`Nobody who is not tied to it could release it; there would have to be ${lacking.join(', or ')}.`)
  }
  const id = newId(needs.clock, needs.random)
  const until = secondsAfter(now, holding.forSeconds)
  const expiresAt = until < found.expiresAt ? until : found.expiresAt
  const printed = gates.map(printApproval)
  const shown = { grantId: found.id, useId, class: holding.class, action, label, statement, gates: printed }
  const boundSha256 = sha256(canonicalText({ v: 1, id, ...shown }))
  const cause = await needs.ledger.record(tx, {
    event: holdMade,
    actor: { id: found.subjectId, kind: found.kind },
    resource: { type: 'Hold', id },
    grantId: found.id,
    outcome: 'done',
    facts: {
      useId,
      class: holding.class,
      privilegedAction: action,
      label,
      gates: printed,
      boundSha256: boundSha256.toString('hex'),
      expiresAt,
    },
  })
  await tx
    .insertInto('heldOperation')
    .values({
      id,
      ...shown,
      ownerOfTarget,
      ownerOfSubject,
      approverTeams,
      boundSha256,
      createdAt: now,
      expiresAt,
      cause,
    })
    .execute()
  await reachHold('hold.made')
  return { kind: 'held', id, expiresAt, missing: missingApprovals(gates, [], facts) }
}

/** The grant behind a live use, kept as it is until the transaction ends; undefined when it is over. */
function standingOf(tx: Tx, useId: string, now: Date) {
  return tx
    .selectFrom('grantUse as u')
    .innerJoin('accessGrant as g', 'g.id', 'u.grantId')
    .innerJoin('accessRequest as r', 'r.id', 'g.requestId')
    .innerJoin('identity as subject', 'subject.id', 'g.subjectId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .select([
      'g.id',
      'g.expiresAt',
      'g.subjectId',
      'subject.kind',
      'subject.ownerTeam as ownerOfSubject',
      'target.ownerTeam as ownerOfTarget',
      'r.requesterId',
      'r.onBehalfOfId',
      'r.triggeredById',
    ])
    .where('u.id', '=', useId)
    .where('u.state', '=', 'live')
    .where('g.endedAt', 'is', null)
    .where('g.expiresAt', '>', now)
    .forShare(['g'])
    .executeTakeFirst()
}

function refused(sentence: string): HoldMade {
  return { kind: 'refused', sentence }
}

/**
 * Spends a release: true once, for a hold that is released, in time and under a live grant. From here on the operation may have run;
 * before, it did not.
 */
export async function useHold(tx: Tx, needs: Pick<EndNeeds, 'clock' | 'ledger'>, id: string): Promise<boolean> {
  const hold = await lockHold(tx, id)
  const now = needs.clock.now()
  if (hold.state !== 'released' || !isOpen(hold, now)) return false
  const cause = await needs.ledger.record(tx, {
    event: holdUsed,
    actor: SYSTEM,
    resource: { type: 'Hold', id },
    grantId: hold.grantId,
    outcome: 'announced',
    facts: { boundSha256: hold.boundSha256.toString('hex') },
  })
  await moveHold(tx, needs, { id, from: 'released', to: 'used', refusal: null, cause })
  await reachHold('hold.used')
  return true
}

export type Move = {
  readonly id: string
  readonly from: 'held' | 'released'
  readonly to: Exclude<HoldState, 'held'>
  readonly refusal: string | null
  readonly cause: number
}

/** The one way from state to state; the row count is the decision (rule 3). */
export async function moveHold(tx: Tx, needs: Pick<EndNeeds, 'clock'>, move: Move): Promise<void> {
  const { id, from, to, refusal, cause } = move
  const now = needs.clock.now()
  const { numUpdatedRows } = await tx
    .updateTable('heldOperation')
    .set((row) => ({
      state: to,
      refusal,
      ...(from === 'held' && { decidedAt: now }),
      ...(to === 'used' && { usedAt: now }),
      version: row('version', '+', 1),
      cause,
    }))
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw new Error(`the hold ${id} moved under its lock`)
}

type Which = { readonly id: string } | { readonly grantId: string } | { readonly useId: string }

/** What is held or released and will not run. Safe to repeat; who calls it holds the lock of the grant, or of nothing. */
export async function dropHolds(
  tx: Tx,
  needs: Pick<EndNeeds, 'clock' | 'ledger'>,
  which: Which,
  why: string,
): Promise<void> {
  const rows = await tx
    .selectFrom('heldOperation')
    .select(['id', 'grantId', 'state'])
    .where('state', 'in', ['held', 'released'])
    .where((row) => {
      if ('id' in which) return row('id', '=', which.id)
      return 'grantId' in which ? row('grantId', '=', which.grantId) : row('useId', '=', which.useId)
    })
    .orderBy('id')
    .forUpdate()
    .execute()
  for (const { id, grantId, state } of rows) {
    const resource = { type: 'Hold', id }
    const about = { actor: SYSTEM, resource, grantId, outcome: 'done' } as const
    const cause = await needs.ledger.record(tx, { event: holdDropped, ...about, facts: { why } })
    await moveHold(tx, needs, { id, from: openState(state), to: 'dropped', refusal: why, cause })
  }
}

/** One transaction holds its locks for this many rows at most; what is left waits for the next call. */
const BATCH = 100

/** Ends what was not released or not used in time: of a process that died meanwhile too. Returns whether there is more. */
export async function expireHolds(tx: Tx, needs: Pick<EndNeeds, 'clock' | 'ledger'>): Promise<boolean> {
  const rows = await tx
    .selectFrom('heldOperation')
    .select(['id', 'grantId', 'state'])
    .where('state', 'in', ['held', 'released'])
    .where('expiresAt', '<=', needs.clock.now())
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .skipLocked()
    .execute()
  for (const { id, grantId, state } of rows) {
    const resource = { type: 'Hold', id }
    const about = { actor: SYSTEM, resource, grantId, outcome: 'done' } as const
    const cause = await needs.ledger.record(tx, { event: holdExpired, ...about, facts: {} })
    const refusal = 'Nobody released it in time.'
    await moveHold(tx, needs, { id, from: openState(state), to: 'expired', refusal, cause })
  }
  return rows.length === BATCH
}

function openState(state: HoldState): 'held' | 'released' {
  if (state === 'held' || state === 'released') return state
  throw new Error(`a hold that is ${state} is over`)
}
