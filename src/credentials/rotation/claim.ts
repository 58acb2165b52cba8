import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Secret } from '../../kernel/secret.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { CLAIM_MS, escalationAt, pauseMs } from '../pace.ts'
import { NotWanted } from '../writer.ts'
import type { Rotation } from './contract.ts'
import { rotationFailed, rotationTried } from './events.ts'
import { openNext, openPrevious } from './login.ts'
import type { RotationNeeds } from './needs.ts'

/** A rotation somebody works on now. */
export type Claimed = {
  readonly id: string
  readonly targetId: string
  readonly accountId: string | null
  readonly principal: string
  readonly state: Rotation['state']
  readonly generation: number
  readonly endsSessions: boolean
  readonly wasSha256: Buffer
  readonly next: Secret
  /** Once the new one took its place. */
  readonly previous: Secret | undefined
  readonly plannedAt: Date
  readonly issuedAt: Date | null
  readonly attempts: number
  readonly lastError: string | null
  readonly escalation: Rotation['escalation']
}

/**
 * Takes up to `limit` due rotations: intent before act. Their next try moves ahead, which is both the claim and the retry should this
 * process die.
 */
export function claimDue(db: Db, needs: RotationNeeds, limit: number): Promise<Claimed[]> {
  return transact(db, async (tx) => {
    const now = needs.clock.now()
    const rows = await tx
      .selectFrom('rotation')
      .select(['id', 'state', 'attempts'])
      .where('nextTryAt', '<=', now)
      .where('overAt', 'is', null)
      .orderBy('nextTryAt')
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
    const claimed: Claimed[] = []
    for (const { id, state, attempts } of rows) {
      const attempt = attempts + 1
      const cause = await needs.ledger.record(tx, {
        event: rotationTried,
        actor: SYSTEM,
        resource: { type: 'Rotation', id },
        outcome: 'announced',
        facts: { state, attempt },
      })
      const nextTryAt = secondsAfter(now, Math.max(CLAIM_MS, pauseMs(needs.random, attempt)) / 1000)
      await tx.updateTable('rotation').set({ attempts: attempt, nextTryAt, cause }).where('id', '=', id).execute()
      claimed.push(await mustLoad(tx, needs, id))
    }
    return claimed
  })
}

/** The rotation as it stands; throws `NotWanted` once it is over. */
export async function mustLoad(db: Db, needs: Pick<RotationNeeds, 'seal'>, id: string): Promise<Claimed> {
  const row = await db.selectFrom('rotation').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  if (!row.sealedNext) throw new NotWanted('the rotation is over')
  return {
    ...row,
    next: openNext(needs, id, row.sealedNext),
    previous: row.sealedPrevious ? openPrevious(needs, id, row.sealedPrevious) : undefined,
  }
}

/** Records that a rotation stays open, unless nothing new is to be said: then the claim has set the next try already. */
export async function recordFailure(db: Db, needs: RotationNeeds, claimed: Claimed, error: string): Promise<void> {
  const now = needs.clock.now()
  const escalation = escalationAt(claimed.plannedAt, now)
  await transact(db, async (tx) => {
    const row = await lockOpen(tx, claimed.id)
    const cause = await needs.ledger.record(tx, {
      event: rotationFailed,
      actor: SYSTEM,
      resource: { type: 'Rotation', id: claimed.id },
      outcome: 'failed',
      facts: { state: row.state, error, escalation },
    })
    const nextTryAt = secondsAfter(now, pauseMs(needs.random, row.attempts) / 1000)
    await tx
      .updateTable('rotation')
      .set({ lastError: error, escalation, nextTryAt, cause })
      .where('id', '=', claimed.id)
      .execute()
  })
}

/** The row, locked; throws `NotWanted` when somebody else brought it to its end. */
export async function lockOpen(tx: Tx, id: string): Promise<{ state: Rotation['state']; attempts: number }> {
  const row = await tx
    .selectFrom('rotation')
    .select(['state', 'attempts'])
    .where('id', '=', id)
    .where('overAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw new NotWanted('the rotation is over')
  return row
}
