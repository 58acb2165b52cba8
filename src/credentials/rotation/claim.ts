import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Secret } from '../../kernel/secret.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { CLAIM_MS, escalationAt, pauseMs } from '../pace.ts'
import { NotWanted } from '../writer.ts'
import type { Rotation } from './contract.ts'
import { rotationFailed, rotationTried, rotationWaits } from './events.ts'
import { openNext, openPrevious } from './login.ts'
import type { RotationNeeds } from './needs.ts'

/** A rotation somebody works on now. */
export type Claimed = {
  readonly id: string
  readonly targetId: string
  readonly accountId: string | null
  /** The login that gets out of use. */
  readonly principal: string
  /** The login the new secret is of: the same one, unless two take turns. */
  readonly nextUser: string
  readonly state: Rotation['state']
  readonly strategy: Rotation['strategy']
  readonly occasion: Rotation['occasion']
  readonly generation: number
  readonly endsSessions: boolean
  readonly soakSeconds: number
  readonly soakBefore: Date | null
  readonly wasSha256: Buffer
  /** Undefined until somebody hands it in, or the target makes it. */
  readonly next: Secret | undefined
  /** Once the new one took its place. */
  readonly previous: Secret | undefined
  readonly plannedAt: Date
  readonly stateAt: Date
  readonly issuedAt: Date | null
  readonly distributedAt: Date | null
  readonly toldAt: Date | null
  readonly deadlineAt: Date | null
  readonly attempts: number
  readonly lastError: string | null
  readonly escalation: Rotation['escalation']
}

/** Nothing failed: something has to be seen, done by a person, or has to pass first. */
export class Waiting extends Error {
  override readonly name = 'Waiting'
  /** When to look again; undefined: at the usual pace. */
  readonly untilAt: Date | undefined
  /** From when on its age counts; undefined: it is in no hurry. */
  readonly lateFrom: Date | undefined

  constructor(sentence: string, { untilAt, lateFrom }: { untilAt?: Date; lateFrom?: Date } = {}) {
    super(sentence)
    this.untilAt = untilAt
    this.lateFrom = lateFrom
  }
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
  if (row.overAt) throw new NotWanted('the rotation is over')
  return {
    ...row,
    nextUser: row.nextPrincipal ?? row.principal,
    next: row.sealedNext ? openNext(needs, id, row.sealedNext) : undefined,
    previous: row.sealedPrevious ? openPrevious(needs, id, row.sealedPrevious) : undefined,
  }
}

/** Records that a rotation stays open, unless nothing new is to be said: then the claim has set the next try already. */
export async function recordFailure(db: Db, needs: RotationNeeds, claimed: Claimed, error: string): Promise<void> {
  const now = needs.clock.now()
  await transact(db, async (tx) => {
    const row = await lockOpen(tx, claimed.id)
    const escalation = louder(row.alarmedAt, escalationAt(row.stateAt, now))
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

/** Notes what a rotation waits for. Said again and no later than before, it is not entered again. */
export async function recordWaiting(db: Db, needs: RotationNeeds, claimed: Claimed, waiting: Waiting): Promise<void> {
  const now = needs.clock.now()
  const { message: sentence, untilAt, lateFrom } = waiting
  await transact(db, async (tx) => {
    const row = await lockOpen(tx, claimed.id)
    const age = lateFrom && lateFrom <= now ? escalationAt(lateFrom, now) : 'none'
    const escalation = louder(row.alarmedAt, age)
    if (row.waitsFor === sentence && row.escalation === escalation && !untilAt) return
    const cause = await needs.ledger.record(tx, {
      event: rotationWaits,
      actor: SYSTEM,
      resource: { type: 'Rotation', id: claimed.id },
      outcome: 'announced',
      facts: { state: row.state, waitsFor: sentence, escalation },
    })
    await tx
      .updateTable('rotation')
      .set({ waitsFor: sentence, lastError: null, escalation, cause, ...(untilAt && { nextTryAt: untilAt }) })
      .where('id', '=', claimed.id)
      .execute()
  })
}

/** What was alarmed about stays security's business until it is over. */
function louder(alarmedAt: Date | null, escalation: Rotation['escalation']): Rotation['escalation'] {
  return alarmedAt ? 'security' : escalation
}

/** The row, locked; throws `NotWanted` when somebody else brought it to its end. */
export async function lockOpen(tx: Tx, id: string) {
  const row = await tx
    .selectFrom('rotation')
    .select(['state', 'attempts', 'stateAt', 'waitsFor', 'escalation', 'alarmedAt'])
    .where('id', '=', id)
    .where('overAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw new NotWanted('the rotation is over')
  return row
}
