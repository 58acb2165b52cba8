import { letActAgain, lockIdentity, stopIdentity, type IdentityAct } from '../identities/identities.ts'
import type { Identity } from '../identities/contract.ts'
import type { Tx } from '../kernel/db.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import type { CaseReason, CaseState, LifecycleCase } from './contract.ts'
import { caseHeld, caseMoved, caseOpened, caseReleased, caseReopened } from './events.ts'
import { collectDeposits, collectLogins } from './items.ts'
import type { LifecycleNeeds } from './needs.ts'

/** The row of a case as commands look at it. */
export type CaseRow = Awaited<ReturnType<typeof lockCase>>

export const CASE_COLUMNS = [
  'lifecycleCase.id',
  'lifecycleCase.identityId',
  'identity.name as identityName',
  'lifecycleCase.reason',
  'lifecycleCase.detail',
  'lifecycleCase.state',
  'lifecycleCase.heldBecause',
  'lifecycleCase.soakDays',
  'lifecycleCase.openedAt',
  'lifecycleCase.suspendedAt',
  'lifecycleCase.checkedAt',
  'lifecycleCase.soakEndsAt',
  'lifecycleCase.retiredAt',
  'lifecycleCase.overAt',
  'lifecycleCase.nextLookAt',
  'lifecycleCase.version',
] as const

export type Opening = {
  readonly identityId: string
  readonly reason: CaseReason
  readonly detail: string
  readonly soakDays?: number | undefined
  readonly eventId?: string
}

/** Opens the case of an identity, or gives the one that is open: there is one way out at a time. */
export async function ensureCase(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { identityId, reason, detail, eventId, soakDays = needs.soakDays }: Opening,
): Promise<{ readonly id: string; readonly isNew: boolean }> {
  const seen = await lockIdentity(tx, identityId)
  const open = await tx
    .selectFrom('lifecycleCase')
    .select('id')
    .where('identityId', '=', identityId)
    .where('overAt', 'is', null)
    .executeTakeFirst()
  if (open) return { id: open.id, isNew: false }
  const now = needs.clock.now()
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: caseOpened,
    resource: { type: 'Case', id },
    subjectId: identityId,
    facts: { identityId, reason, detail, soakDays },
  })
  await tx
    .insertInto('lifecycleCase')
    .values({
      id,
      identityId,
      reason,
      detail,
      eventId: eventId ?? null,
      state: 'opened',
      soakDays,
      openedAt: now,
      nextLookAt: now,
      cause,
    })
    .execute()
  if (seen.kind === 'human') {
    const of = { caseId: id, since: now, cause, personId: identityId }
    await collectLogins(tx, needs, of)
    await collectDeposits(tx, needs, of)
  }
  return { id, isNew: true }
}

/** The row, locked with its identity, the identity first as everywhere; throws `notFound`. */
export async function lockCase(tx: Tx, id: string) {
  const found = await tx.selectFrom('lifecycleCase').select('identityId').where('id', '=', id).executeTakeFirst()
  if (!found) throw noSuchCase(id)
  const identity = await lockIdentity(tx, found.identityId)
  const row = await tx
    .selectFrom('lifecycleCase')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  return { ...row, identity }
}

export function noSuchCase(id: string) {
  return notFound('There is no such case.', { type: 'Case', id })
}

function caseOver({ id, state }: { readonly id: string; readonly state: string }, detail: string) {
  return conflict(detail, { type: 'Case', id, state })
}

export async function readCaseRow(tx: Tx, id: string): Promise<LifecycleCase> {
  const row = await tx
    .selectFrom('lifecycleCase')
    .innerJoin('identity', 'identity.id', 'lifecycleCase.identityId')
    .select(CASE_COLUMNS)
    .where('lifecycleCase.id', '=', id)
    .executeTakeFirst()
  if (!row) throw noSuchCase(id)
  return row
}

/** Writes what was decided on the very version that was looked at; anything else meanwhile is a conflict. */
export async function changeCase(
  tx: Tx,
  seen: Pick<CaseRow, 'id' | 'version' | 'state'>,
  cause: number,
  change: CaseChange,
): Promise<void> {
  const { dependencies, evidence, ...rest } = change
  const { numUpdatedRows } = await tx
    .updateTable('lifecycleCase')
    .set({
      ...rest,
      ...(dependencies !== undefined && { dependencies: JSON.stringify(dependencies) }),
      ...(evidence !== undefined && { evidence: JSON.stringify(evidence) }),
      version: seen.version + 1,
      cause,
    })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '=', seen.state)
    .executeTakeFirst()
  if (numUpdatedRows !== 1n) throw caseOver(seen, 'The case changed meanwhile; look again.')
}

type CaseChange = {
  readonly state?: CaseState
  readonly heldBecause?: string | null
  readonly suspendedAt?: Date
  readonly checkedAt?: Date
  readonly soakEndsAt?: Date
  readonly retiredAt?: Date
  readonly overAt?: Date
  readonly nextLookAt?: Date | null
  readonly dependencies?: unknown
  readonly evidence?: unknown
}

/** Makes a case wait for a person. */
export async function holdCaseRow(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { row, because }: { readonly row: CaseRow; readonly because: string },
): Promise<void> {
  if (row.overAt !== null) throw caseOver(row, 'The case is over.')
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: caseHeld,
    resource: { type: 'Case', id: row.id },
    subjectId: row.identityId,
    facts: { identityId: row.identityId, state: row.state, because },
  })
  await changeCase(tx, row, cause, { heldBecause: because })
}

/** A person lets it go on. */
export async function releaseCase(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { row, reason }: { readonly row: CaseRow; readonly reason: string },
): Promise<void> {
  if (row.overAt !== null) throw caseOver(row, 'The case is over.')
  if (row.heldBecause === null) throw caseOver(row, 'The case waits for nobody.')
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: caseReleased,
    resource: { type: 'Case', id: row.id },
    subjectId: row.identityId,
    facts: { identityId: row.identityId, state: row.state, reason },
  })
  await changeCase(tx, row, cause, { heldBecause: null, nextLookAt: needs.clock.now() })
}

/** The identity stays. It acts again where this case had stopped it; what ended with it stays ended. */
export async function reopen(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { row, reason }: { readonly row: CaseRow; readonly reason: string },
): Promise<void> {
  if (row.overAt !== null) throw caseOver(row, 'The case is over.')
  if (row.state === 'retired') throw caseOver(row, 'The identity is retired; what is retired does not come back.')
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: caseReopened,
    resource: { type: 'Case', id: row.id },
    subjectId: row.identityId,
    facts: { identityId: row.identityId, from: row.state, reason },
  })
  await changeCase(tx, row, cause, { state: 'reopened', overAt: now, nextLookAt: null, heldBecause: null })
  const { identity } = row
  const isOver = identity.expiresAt !== null && identity.expiresAt <= now
  if (identity.state === 'suspended' && row.suspendedAt !== null && !isOver && isAnsweredFor(identity)) {
    await letActAgain(tx, needs, act, identity)
  }
}

function isAnsweredFor({ kind, ownerState }: Identity): boolean {
  return kind === 'human' || ownerState === 'suggested' || ownerState === 'attested'
}

/** Stops the identity of a case at once, in the transaction that opened it. */
export async function suspendNow(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { caseId, reason }: { readonly caseId: string; readonly reason: string },
): Promise<void> {
  const row = await lockCase(tx, caseId)
  if (row.state !== 'opened' || row.identity.state !== 'active') return
  await stopIdentity(tx, needs, act, { seen: row.identity, reason })
  await moveCase(tx, needs, act, { row, to: 'suspended', change: { suspendedAt: needs.clock.now() } })
}

/** One step of the machine, with its entry. */
export async function moveCase(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { row, to, change }: { readonly row: CaseRow; readonly to: CaseState; readonly change: CaseChange },
): Promise<number> {
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: caseMoved,
    resource: { type: 'Case', id: row.id },
    subjectId: row.identityId,
    facts: { identityId: row.identityId, from: row.state, to, heldBecause: change.heldBecause ?? null },
  })
  await changeCase(tx, row, cause, { nextLookAt: needs.clock.now(), ...change, state: to })
  return cause
}
