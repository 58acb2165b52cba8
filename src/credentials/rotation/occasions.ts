import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Rotation } from './contract.ts'
import { credentialLeaked } from './events.ts'
import type { RotationNeeds } from './needs.ts'
import type { LoginRef } from './login.ts'
import { hasOpenRotation, lockRotatable, planRotation, rotatable } from './plan.ts'
import { loginsKnownTo, wasRotatedSince } from './known-to.ts'
import { readRotation } from './reads.ts'

const DAY_SECONDS = 86_400
/** Logins looked at in one go. */
const ROWS = 100

/**
 * Others know the secret: it is rotated now, without a soak, and what it opened is ended. A rotation on its way that has not given out its new secret yet
 * ends the leaked one as well; `rotationOpen` says so, and it can be resumed.
 */
export async function reportLeak(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'credential.report-leak'>,
  { reason }: { readonly reason: string },
): Promise<Rotation> {
  const { id: accountId } = permit.resource
  const { targetId } = await tx
    .selectFrom('account')
    .select('targetId')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow()
  const login = await lockRotatable(tx, needs, { targetId, accountId })
  const facts = { targetId, isRotated: true, reason }
  await needs.ledger.record(tx, { ...actOf(permit), event: credentialLeaked, facts })
  const by = { startedById: permit.subject.id, occasion: 'leak', endsSessions: true, reason } as const
  return readRotation(tx, await planRotation(tx, needs, login, { ...actOf(permit), ...by }))
}

/**
 * Starts a rotation that nobody asked for, where there is something to rotate and nobody is at it. One that the target had fenced off is left to a person:
 * what lives there is not known here. Returns whether it was started.
 */
async function startByItself(
  tx: Tx,
  needs: RotationNeeds,
  ref: LoginRef,
  occasion: Rotation['occasion'],
): Promise<boolean> {
  const found = await rotatable(tx, needs, ref)
  if ('why' in found || (await hasOpenRotation(tx, ref)) || (await wasFenced(tx, ref))) return false
  const by = { actor: SYSTEM, startedById: null, occasion, endsSessions: false, reason: null }
  await planRotation(tx, needs, found, by)
  return true
}

async function wasFenced(tx: Tx, { targetId, accountId }: LoginRef): Promise<boolean> {
  const last = await tx
    .selectFrom('rotation')
    .select(['state', 'evidence'])
    .where('targetId', '=', targetId)
    .where('accountId', accountId === null ? 'is' : '=', accountId)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last?.state === 'superseded' && last.evidence !== null
}

/**
 * A person is gone: every login whose secret they may know gets another one. What cannot be rotated by itself is left to the findings and to their case.
 * Returns how many were started.
 */
export async function rotateAfterLeaver(
  tx: Tx,
  needs: RotationNeeds,
  { identityId }: { readonly identityId: string },
): Promise<number> {
  let started = 0
  for (const { accountId, targetId, knownUntil } of await loginsKnownTo(tx, needs, identityId)) {
    if (await wasRotatedSince(tx, { accountId, knownUntil, identityId })) continue
    if (await startByItself(tx, needs, { targetId, accountId }, 'owner-left')) started += 1
  }
  return started
}

/** Break-glass was used on an account whose secret stands: it is another one afterwards. */
export async function rotateAfterBreakGlass(
  tx: Tx,
  needs: RotationNeeds,
  { grantId }: { readonly grantId: string },
): Promise<boolean> {
  const row = await tx
    .selectFrom('accessGrant')
    .innerJoin('identity', 'identity.id', 'accessGrant.subjectId')
    .innerJoin('account', 'account.id', 'accessGrant.accountId')
    .select(['accessGrant.accountId', 'accessGrant.targetId'])
    .where('accessGrant.id', '=', grantId)
    .where('identity.profile', '=', 'break-glass')
    .where('account.mode', '=', 'static')
    .where((any) =>
      any.exists(any.selectFrom('grantUse').select('grantUse.id').whereRef('grantUse.grantId', '=', 'accessGrant.id')),
    )
    .executeTakeFirst()
  if (!row) return false
  return startByItself(tx, needs, { targetId: row.targetId, accountId: row.accountId }, 'break-glass')
}

/**
 * Starts the rotation of logins that are older than the governance standard lets them be, by the profile and tier of the identity whose they are. A schedule
 * that somebody gave goes first; an account nobody claims has no standard.
 */
export async function startAged(tx: Tx, needs: RotationNeeds): Promise<number> {
  const { mostDaysOf } = needs
  if (!mostDaysOf) return 0
  const now = needs.clock.now()
  const rows = await tx
    .selectFrom('account')
    .innerJoin('identity', 'identity.id', 'account.identityId')
    .innerJoin('target', 'target.id', 'account.targetId')
    .innerJoin('ledgerEntry', 'ledgerEntry.resourceId', 'account.id')
    .select(['account.id', 'account.targetId', 'account.tier', 'identity.profile', 'ledgerEntry.at'])
    .select((row) =>
      row
        .selectFrom('rotation')
        .select((each) => each.fn.max('rotation.distributedAt').as('at'))
        .whereRef('rotation.accountId', '=', 'account.id')
        .where('rotation.state', 'not in', ['aborting', 'aborted'])
        .as('rotatedAt'),
    )
    .where('account.mode', '=', 'static')
    .where('account.state', '=', 'active')
    .where('target.state', '=', 'active')
    .where('target.protocol', 'in', protocolsOf(needs))
    .where('ledgerEntry.kind', '=', 'account.registered')
    .where((row) =>
      row.not(
        row.exists(
          row
            .selectFrom('rotationSchedule')
            .select('rotationSchedule.id')
            .whereRef('rotationSchedule.accountId', '=', 'account.id')
            .where('rotationSchedule.everyDays', 'is not', null),
        ),
      ),
    )
    .where((row) =>
      row.not(
        row.exists(
          row
            .selectFrom('rotation')
            .select('rotation.id')
            .whereRef('rotation.accountId', '=', 'account.id')
            .where('rotation.overAt', 'is', null),
        ),
      ),
    )
    .orderBy('account.id')
    .execute()
  let started = 0
  for (const { id, targetId, tier, profile, at, rotatedAt } of rows) {
    const days = mostDaysOf({ profile, tier })
    if (days === undefined || secondsAfter(rotatedAt ?? at, days * DAY_SECONDS) > now) continue
    if (await startByItself(tx, needs, { targetId, accountId: id }, 'age')) started += 1
    if (started === ROWS) break
  }
  return started
}

function protocolsOf({ rotators }: RotationNeeds): string[] {
  return ['', ...rotators.map(({ protocol }) => protocol)]
}
