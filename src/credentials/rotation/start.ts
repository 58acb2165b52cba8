import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Rotation, StartRotation } from './contract.ts'
import type { RotationSchedule, ScheduleRotation } from './contract.ts'
import { rotationDue, rotationScheduled } from './events.ts'
import type { LoginRef } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { hasOpenRotation, lockRotatable, planRotation, rotatable } from './plan.ts'
import { readRotation } from './reads.ts'

const DAY_SECONDS = 86_400
/** A login that is being rotated when it is due is looked at again then. */
const AGAIN_SECONDS = 3_600
const DUE_ROWS = 50

/** Starts the rotation of an account or of a provisioner: from here on it is an open obligation that any worker carries on. */
export async function startRotation(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.start' | 'rotation.start-provisioner'>,
  input: StartRotation,
): Promise<Rotation> {
  const login = await lockRotatable(tx, needs, await refOf(tx, permit))
  const id = await planRotation(tx, needs, login, {
    ...actOf(permit),
    startedById: permit.subject.id,
    occasion: 'person',
    endsSessions: input.endSessions,
    reason: input.reason,
  })
  return readRotation(tx, id)
}

/** Says how often a login is rotated by itself. */
export async function scheduleRotation(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.schedule' | 'rotation.schedule-provisioner'>,
  { everyDays, reason }: ScheduleRotation,
): Promise<RotationSchedule> {
  const { targetId, accountId } = await lockRotatable(tx, needs, await refOf(tx, permit))
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: rotationScheduled,
    facts: { targetId, accountId, everyDays, reason },
  })
  const dueAt = everyDays === null ? null : secondsAfter(needs.clock.now(), everyDays * DAY_SECONDS)
  const standing = tx
    .updateTable('rotationSchedule')
    .set({ everyDays, dueAt, cause })
    .where('targetId', '=', targetId)
    .where('accountId', accountId === null ? 'is' : '=', accountId)
    .returning(SCHEDULE)
  const updated = await standing.executeTakeFirst()
  if (updated) return updated
  return tx
    .insertInto('rotationSchedule')
    .values({ id: newId(needs.clock, needs.random), targetId, accountId, everyDays, dueAt, cause })
    .returning(SCHEDULE)
    .executeTakeFirstOrThrow()
}

const SCHEDULE = ['id', 'targetId', 'accountId', 'everyDays', 'dueAt'] as const

/** Starts what is due. A login that is being rotated is looked at again; where there is none any more, the schedule is over. */
export async function startDue(tx: Tx, needs: RotationNeeds): Promise<void> {
  const now = needs.clock.now()
  const due = await tx
    .selectFrom('rotationSchedule')
    .selectAll()
    .where('dueAt', '<=', now)
    .orderBy('dueAt')
    .limit(DUE_ROWS)
    .forUpdate()
    .skipLocked()
    .execute()
  for (const row of due) {
    const found = await rotatable(tx, needs, row)
    const login = 'why' in found ? undefined : found
    const isStarted = login !== undefined && !(await hasOpenRotation(tx, row))
    const about = { actor: SYSTEM, resource: resourceOf(row) }
    const cause = await needs.ledger.record(tx, {
      ...about,
      event: rotationDue,
      outcome: isStarted ? 'done' : 'failed',
      facts: { principal: login?.user ?? null, isStarted },
    })
    const seconds = isStarted && row.everyDays !== null ? row.everyDays * DAY_SECONDS : AGAIN_SECONDS
    const next = login ? { dueAt: secondsAfter(now, seconds), cause } : { everyDays: null, dueAt: null, cause }
    await tx.updateTable('rotationSchedule').set(next).where('id', '=', row.id).execute()
    if (!isStarted) continue
    const by = { actor: SYSTEM, startedById: null, occasion: 'schedule', endsSessions: false, reason: null } as const
    await planRotation(tx, needs, login, by)
  }
}

async function refOf(
  tx: Tx,
  { action, resource: { id } }: { readonly action: string; readonly resource: { readonly id: string } },
): Promise<LoginRef> {
  if (action.endsWith('-provisioner')) return { targetId: id, accountId: null }
  const { targetId } = await tx.selectFrom('account').select('targetId').where('id', '=', id).executeTakeFirstOrThrow()
  return { targetId, accountId: id }
}

function resourceOf({ targetId, accountId }: LoginRef) {
  return accountId === null ? { type: 'Target', id: targetId } : { type: 'Account', id: accountId }
}
