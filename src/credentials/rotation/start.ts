import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import { notRotatable, rotationOpen, type Rotation, type StartRotation } from './contract.ts'
import type { RotationSchedule, ScheduleRotation } from './contract.ts'
import { rotationDue, rotationPlanned, rotationScheduled } from './events.ts'
import { keptLogin, sealNext, type KeptLogin, type LoginRef } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { readRotation } from './reads.ts'
import type { LoginRotator } from './rotator.ts'

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
  const id = await plan(tx, needs, login, {
    ...actOf(permit),
    startedById: permit.subject.id,
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
    await plan(tx, needs, login, { actor: SYSTEM, startedById: null, endsSessions: false, reason: null })
  }
}

type Rotatable = LoginRef & KeptLogin & { readonly rotator: LoginRotator }
type By = Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'> & {
  readonly startedById: string | null
  readonly endsSessions: boolean
  readonly reason: string | null
}

/** Intent before act: the new secret is sealed beside the old one before anybody hears of it. */
async function plan(tx: Tx, needs: RotationNeeds, login: Rotatable, by: By): Promise<string> {
  const { targetId, accountId, user: principal, rotator } = login
  const { startedById, endsSessions, reason, ...act } = by
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: rotationPlanned,
    resource: { type: 'Rotation', id },
    outcome: 'announced',
    facts: { targetId, accountId, principal, endsSessions, isScheduled: startedById === null, reason },
  })
  const open = (error: unknown) =>
    rotationOpen('A rotation of this login is under way; one follows another.', { targetId }, { cause: error })
  await translating({ account_has_one_open_rotation: open, provisioner_has_one_open_rotation: open }, () =>
    tx
      .insertInto('rotation')
      .values({
        id,
        targetId,
        accountId,
        principal,
        state: 'planned',
        startedById,
        endsSessions,
        wasSha256: login.sha256,
        sealedNext: sealNext(needs, id, rotator.make(needs.random)),
        plannedAt: now,
        nextTryAt: now,
        cause,
      })
      .execute(),
  )
  return id
}

async function lockRotatable(tx: Tx, needs: RotationNeeds, ref: LoginRef): Promise<Rotatable> {
  const found = await rotatable(tx, needs, ref)
  if ('why' in found) throw notRotatable(found.why, { targetId: ref.targetId })
  return found
}

/** The login, locked; or why it is none that can be rotated. */
async function rotatable(
  tx: Tx,
  needs: RotationNeeds,
  { targetId, accountId }: LoginRef,
): Promise<Rotatable | { readonly why: string }> {
  const target = await tx
    .selectFrom('target')
    .select(['protocol', 'state'])
    .where('id', '=', targetId)
    .executeTakeFirstOrThrow()
  if (target.state !== 'active') return { why: 'The target is retired, so nothing of it gets a new secret.' }
  if (accountId !== null) {
    const account = await tx
      .selectFrom('account')
      .select(['mode', 'state'])
      .where('id', '=', accountId)
      .executeTakeFirstOrThrow()
    if (account.state !== 'active') return { why: 'The account is retired, so it gets no new secret.' }
    if (account.mode !== 'static') return { why: 'Reeve keeps no secret of this account: only static ones have any.' }
  }
  const kept = await keptLogin(tx, needs, { targetId, accountId }, 'lock')
  if (!kept) return { why: 'Reeve keeps no login to rotate here.' }
  const rotator = needs.rotators.find((each) => each.protocol === target.protocol)
  if (!rotator) return { why: `Logins of ${target.protocol} targets are rotated by nothing in this release.` }
  return { targetId, accountId, ...kept, rotator }
}

async function hasOpenRotation(tx: Tx, { targetId, accountId }: LoginRef): Promise<boolean> {
  const row = await tx
    .selectFrom('rotation')
    .select('id')
    .where('targetId', '=', targetId)
    .where('accountId', accountId === null ? 'is' : '=', accountId)
    .where('overAt', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

async function refOf(tx: Tx, { resource: { type, id } }: Permit): Promise<LoginRef> {
  if (type === 'Target') return { targetId: id, accountId: null }
  const { targetId } = await tx.selectFrom('account').select('targetId').where('id', '=', id).executeTakeFirstOrThrow()
  return { targetId, accountId: id }
}

function resourceOf({ targetId, accountId }: LoginRef) {
  return accountId === null ? { type: 'Target', id: targetId } : { type: 'Account', id: accountId }
}
