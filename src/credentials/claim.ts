import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { Secret } from '../kernel/secret.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseEndFailed, leaseEndTried, leaseOutlasts } from './events.ts'
import type { CredentialNeeds } from './needs.ts'
import { CLAIM_MS, downPauseMs, escalationAt, pauseMs } from './pace.ts'
import { openSecret } from './site.ts'
import { StoredTerms } from './terms.ts'
import { Details, type WrittenLease } from './writer.ts'

/** An obligation somebody works on now. */
export type Claimed = {
  readonly id: string
  readonly grantId: string
  readonly targetId: string
  readonly accountId: string
  readonly kind: string
  readonly attempts: number
  readonly endingAt: Date
  readonly lastError: string | null
  readonly escalation: 'none' | 'owner' | 'security'
  readonly nextTryAt: Date
  readonly lease: WrittenLease
}

/** Rows that one failure of a target moves at once; the rest stays due and is moved by the next. */
const MOVED_ROWS = 20_000
/** Moving rows takes time itself; they are not due again before it is done. */
const MOVED_ROW_MS = 1

/** Targets with leases to end now. */
export async function dueTargets(db: Db, now: Date): Promise<string[]> {
  const rows = await db
    .selectFrom('lease')
    .select('targetId')
    .distinct()
    .where('state', '=', 'ending')
    .where('nextTryAt', '<=', now)
    .execute()
  return rows.map((row) => row.targetId)
}

/**
 * Takes up to `limit` due leases of a target: intent before act, one entry for all. Their next try moves ahead, which is both the claim and
 * the retry should this process die.
 */
export function claimDue(db: Db, needs: CredentialNeeds, targetId: string, limit: number): Promise<Claimed[]> {
  return transact(db, async (tx) => {
    const now = needs.clock.now()
    const rows = await tx
      .selectFrom('lease')
      .selectAll()
      .where('targetId', '=', targetId)
      .where('state', '=', 'ending')
      .where('nextTryAt', '<=', now)
      .orderBy('nextTryAt')
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
    const [first] = rows
    if (!first) return []
    const cause = await needs.ledger.record(tx, {
      event: leaseEndTried,
      actor: SYSTEM,
      resource: { type: 'Target', id: targetId },
      ...(rows.length === 1 ? { grantId: first.grantId } : {}),
      outcome: 'announced',
      facts: { leaseIds: rows.map((row) => row.id) },
    })
    const attempts = Math.max(...rows.map((row) => row.attempts)) + 1
    const nextTryAt = secondsAfter(now, Math.max(CLAIM_MS, pauseMs(needs.random, attempts)) / 1000)
    await tx
      .updateTable('lease')
      .set((row) => ({ attempts: row('attempts', '+', 1), nextTryAt, cause }))
      .where(
        'id',
        'in',
        rows.map((row) => row.id),
      )
      .execute()
    return rows.map((row) => ({
      id: row.id,
      grantId: row.grantId,
      targetId: row.targetId,
      accountId: row.accountId,
      kind: row.kind,
      attempts: row.attempts + 1,
      endingAt: row.endingAt ?? now,
      lastError: row.lastError,
      escalation: row.escalation,
      nextTryAt,
      lease: {
        id: row.id,
        principal: row.principal,
        // A credential that stands at the target is not ours to try.
        secret: row.sealedSecret ? openSecret(needs.seal, row.id, row.sealedSecret) : new Secret(''),
        terms: StoredTerms.parse(row.terms),
        details: row.details === null ? undefined : Details.parse(row.details),
        issuedAt: row.issuedAt,
      },
    }))
  })
}

/** Records that a lease did not end, unless nothing new is to be said: then the claim has set the next try already. */
export async function recordFailure(db: Db, needs: CredentialNeeds, claimed: Claimed, error: string): Promise<void> {
  const now = needs.clock.now()
  const escalation = escalationAt(claimed.endingAt, now)
  const nextTryAt = secondsAfter(now, pauseMs(needs.random, claimed.attempts) / 1000)
  const isOldNews = error === claimed.lastError && escalation === claimed.escalation
  if (isOldNews && nextTryAt >= claimed.nextTryAt) return
  await transact(db, async (tx) => {
    const cause = await recordFailed(tx, needs, {
      targetId: claimed.targetId,
      leaseIds: [claimed.id],
      error,
      escalation,
      leases: 1,
    })
    await tx
      .updateTable('lease')
      .set({ lastError: error, escalation, nextTryAt, cause })
      .where('id', '=', claimed.id)
      .where('state', '=', 'ending')
      .execute()
  })
}

type Outlasting = { readonly until: Date; readonly why: string }

/** It was ended as far as that goes, and lives on as was declared: looked at again then, and no failure of anybody's. */
export async function recordOutlasting(
  db: Db,
  needs: CredentialNeeds,
  claimed: Claimed,
  { until, why }: Outlasting,
): Promise<void> {
  await transact(db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: leaseOutlasts,
      actor: SYSTEM,
      resource: { type: 'Lease', id: claimed.id },
      grantId: claimed.grantId,
      outcome: 'done',
      facts: { until, why },
    })
    await tx
      .updateTable('lease')
      .set({ residualBefore: until, nextTryAt: until, lastError: why, escalation: 'none', cause })
      .where('id', '=', claimed.id)
      .where('state', '=', 'ending')
      .execute()
  })
}

/**
 * The target is down: one entry and one statement for all its due leases, which come back together, so that ten thousand of them
 * cost one connection per pause.
 */
export async function recordTargetDown(
  db: Db,
  needs: CredentialNeeds,
  claimed: readonly Claimed[],
  error: string,
): Promise<void> {
  const [first] = claimed
  if (!first) return
  await transact(db, async (tx) => {
    const now = needs.clock.now()
    const { targetId } = first
    const due = await tx
      .selectFrom('lease')
      .select(['id', 'attempts', 'endingAt'])
      .where('targetId', '=', targetId)
      .where('state', '=', 'ending')
      .where((either) =>
        either.or([
          either('nextTryAt', '<=', now),
          either(
            'id',
            'in',
            claimed.map((each) => each.id),
          ),
        ]),
      )
      .limit(MOVED_ROWS)
      .forUpdate()
      .skipLocked()
      .execute()
    if (due.length === 0) return
    const attempts = await slowestPace(tx, targetId)
    const oldest = due.reduce((at, row) => (row.endingAt && row.endingAt < at ? row.endingAt : at), now)
    const escalation = escalationAt(oldest, now)
    const cause = await recordFailed(tx, needs, {
      targetId,
      leaseIds: claimed.map((each) => each.id),
      error,
      escalation,
      leases: due.length,
    })
    const ids = due.map((row) => row.id)
    const longEnoughMs = Math.max(downPauseMs(needs.random, attempts), due.length * MOVED_ROW_MS)
    const nextTryAt = secondsAfter(now, longEnoughMs / 1000)
    await tx
      .updateTable('lease')
      .set((row) => ({
        lastError: error,
        escalation,
        nextTryAt,
        cause,
        // The claimed ones counted this attempt already.
        attempts: sql<number>`${row.ref('attempts')} + case when id = any(${claimed.map((each) => each.id)}::uuid[]) then 0 else 1 end`,
      }))
      .where('id', '=', sql<string>`any(${ids}::uuid[])`)
      .execute()
  })
}

/** A target that has been down for long is not asked more often because something new was to be ended there. */
async function slowestPace(tx: Tx, targetId: string): Promise<number> {
  const row = await tx
    .selectFrom('lease')
    .select((each) => each.fn.max('attempts').as('attempts'))
    .where('targetId', '=', targetId)
    .where('state', '=', 'ending')
    .executeTakeFirst()
  return row?.attempts ?? 1
}

function recordFailed(
  tx: Tx,
  needs: CredentialNeeds,
  failed: {
    targetId: string
    leaseIds: string[]
    leases: number
    error: string
    escalation: Claimed['escalation']
  },
): Promise<number> {
  const { targetId, ...facts } = failed
  return needs.ledger.record(tx, {
    event: leaseEndFailed,
    actor: SYSTEM,
    resource: { type: 'Target', id: targetId },
    outcome: 'failed',
    facts,
  })
}
