import { sql } from 'kysely'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import { readingBegan, readingEnded } from '../events.ts'
import { clearLost, clearStages, markGone } from './merge.ts'
import type { InventoryNeeds } from '../needs.ts'
import { emptyStages } from './statistics.ts'
import { TakenOver } from './stage.ts'

/** Who set a reading off, as its entries say. */
export type ReadingAct = Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'>
export const ON_SCHEDULE: ReadingAct = { actor: SYSTEM }

/** A reading that has said nothing for so long is dead, and whoever comes goes on with it. A holder says something every third of it. */
export const DEAD_SECONDS = 60

export type Reading = {
  readonly id: string
  readonly sourceId: string
  readonly holderId: string
  readonly act: ReadingAct
}

/** Takes the source for one reading, or goes on with one whose reader died. Throws `conflict` while somebody reads. */
export async function beginReading(db: Db, needs: InventoryNeeds, sourceId: string, act: ReadingAct): Promise<Reading> {
  const holderId = newId(needs.clock, needs.random)
  return transact(db, async (tx) => {
    const now = needs.clock.now()
    await mustBeActive(tx, sourceId)
    const resumed = await takeOver(tx, sourceId, holderId, now)
    const id = resumed ?? newId(needs.clock, needs.random)
    const facts = { readingId: id, resumes: resumed !== undefined }
    const resource = { type: 'Source', id: sourceId }
    const cause = await needs.ledger.record(tx, { ...act, event: readingBegan, resource, outcome: 'announced', facts })
    if (resumed !== undefined) return { id, sourceId, holderId, act }
    const claimed = await tx
      .insertInto('readingProgress')
      .values({ sourceId, readingId: id, holderId, beatAt: now })
      .onConflict((is) => is.column('sourceId').doNothing())
      .executeTakeFirst()
    if (claimed.numInsertedOrUpdatedRows !== 1n) {
      throw conflict('The source is being read now.', { type: 'Source', id: sourceId, state: 'being-read' })
    }
    // What a crash of the database left open is over: what it had read so far went with it.
    await tx
      .updateTable('sourceReading')
      .set({ endedAt: now, outcome: 'cancelled', problem: 'it was cut off', cause })
      .where('sourceId', '=', sourceId)
      .where('endedAt', 'is', null)
      .execute()
    await clearLost(tx)
    await tx.insertInto('sourceReading').values({ id, sourceId, beganAt: now, cause }).execute()
    return { id, sourceId, holderId, act }
  })
}

/** Held until the reading is claimed: who retires the source meanwhile finds it and ends it. */
async function mustBeActive(tx: Tx, sourceId: string): Promise<void> {
  const source = await tx.selectFrom('source').select('state').where('id', '=', sourceId).forShare().executeTakeFirst()
  if (source?.state === 'active') return
  throw conflict('The source is retired.', { type: 'Source', id: sourceId, state: source?.state ?? 'retired' })
}

async function takeOver(tx: Tx, sourceId: string, holderId: string, now: Date): Promise<string | undefined> {
  const row = await tx
    .updateTable('readingProgress')
    .set({ holderId, beatAt: now })
    .where('sourceId', '=', sourceId)
    .where('beatAt', '<', secondsAfter(now, -DEAD_SECONDS))
    .returning('readingId')
    .executeTakeFirst()
  return row?.readingId
}

/** Says that the reader lives. */
export async function beat(db: Db, needs: Pick<InventoryNeeds, 'clock'>, reading: Reading): Promise<void> {
  await db
    .updateTable('readingProgress')
    .set({ beatAt: needs.clock.now() })
    .where('readingId', '=', reading.id)
    .where('holderId', '=', reading.holderId)
    .execute()
}

/** Where a reading is: the scope under way and behind which page. */
export async function progressOf(db: Db, reading: Reading) {
  return db
    .selectFrom('readingProgress')
    .select(['scope', 'cursor', 'pages', 'refused', 'fromFuture'])
    .where('readingId', '=', reading.id)
    .where('holderId', '=', reading.holderId)
    .executeTakeFirst()
}

export type Ended = {
  readonly outcome: 'complete' | 'partial' | 'failed' | 'cancelled'
  readonly problem: string | null
  /** How many scopes ended how. */
  readonly scopes: Readonly<Record<string, number>>
  /** The ids of every scope that the source named, when it named all there are. */
  readonly named: ReadonlySet<string> | undefined
  readonly next: Next
  /** How much of the identities is owned, justified and observable now. */
  readonly percent?: Readonly<Record<string, number>>
}

/** When the source is due again; `before`: when it was due as this reading began. Who has changed that since has the last word. */
type Next = { readonly before: Date | null; readonly at: Date | null }

/** Closes the reading; throws `TakenOver` when it is not this reader's any more. Scopes that the source does not name any more are missed, and gone when they were missed before. */
export async function endReading(db: Db, needs: InventoryNeeds, reading: Reading, ended: Ended): Promise<void> {
  await transact(db, async (tx) => {
    const now = needs.clock.now()
    const { sourceId } = reading
    await letGo(tx, reading)
    const unnamed = ended.named ? await unnamedScopes(tx, sourceId, ended.named) : []
    const gone = unnamed.filter(({ missedAt }) => missedAt !== null)
    const cause = await needs.ledger.record(tx, {
      ...reading.act,
      event: readingEnded,
      resource: { type: 'Source', id: sourceId },
      outcome: ended.outcome === 'complete' || ended.outcome === 'partial' ? 'done' : 'failed',
      facts: {
        readingId: reading.id,
        outcome: ended.outcome,
        problem: ended.problem,
        scopes: { ...ended.scopes },
        goneScopes: gone.slice(0, 100).map(({ scope }) => scope),
      },
    })
    const isGone = new Set(gone.map(({ id }) => id))
    for (const { id, version } of unnamed) {
      await tx
        .updateTable('sourceScope')
        .set({ missedAt: now, ...(isGone.has(id) && { state: 'gone' as const }), version: version + 1, cause })
        .where('id', '=', id)
        .execute()
      if (isGone.has(id)) await markGone(tx, id, now, cause)
    }
    const { outcome, problem, next } = ended
    await tx
      .updateTable('sourceReading')
      .set({ endedAt: now, outcome, problem, cause })
      .where('id', '=', reading.id)
      .where('endedAt', 'is', null)
      .execute()
    await tx
      .updateTable('source')
      .set((is) => ({ readAt: now, problem, nextReadAt: unlessChanged(next), version: is('version', '+', 1), cause }))
      .where('id', '=', sourceId)
      .execute()
    if (ended.percent) await keepMeasure(tx, { at: now, percent: ended.percent, cause })
    await clearStages(tx, reading.id, null)
  })
  // The next reading's end does it as well.
  await emptyStages(db).catch((error: unknown) => needs.log.debug({ err: error }, 'what a reading left behind stays'))
}

function unlessChanged({ before, at }: Next) {
  return sql<Date | null>`case when next_read_at is not distinct from ${before}::timestamptz then ${at}::timestamptz else next_read_at end`
}

/** The source first, as whoever begins a reading or retires the source does. */
async function letGo(tx: Tx, { id, sourceId, holderId }: Reading): Promise<void> {
  await tx.selectFrom('source').select('id').where('id', '=', sourceId).forUpdate().execute()
  const { numDeletedRows } = await tx
    .deleteFrom('readingProgress')
    .where('readingId', '=', id)
    .where('holderId', '=', holderId)
    .executeTakeFirst()
  if (numDeletedRows !== 1n) throw new TakenOver('another node went on with this reading')
}

/** Ends the reading of a source that is retired by `cause`: whoever reads it finds that it is theirs no more. The source and its scopes are held. */
export async function cutOff(
  tx: Tx,
  sourceId: string,
  { now, cause }: { readonly now: Date; readonly cause: number },
): Promise<void> {
  const under = await tx
    .deleteFrom('readingProgress')
    .where('sourceId', '=', sourceId)
    .returning('readingId')
    .executeTakeFirst()
  if (!under) return
  await tx
    .updateTable('sourceReading')
    .set({ endedAt: now, outcome: 'cancelled', problem: 'the source was retired', cause })
    .where('id', '=', under.readingId)
    .where('endedAt', 'is', null)
    .execute()
  await clearStages(tx, under.readingId, null)
}

async function keepMeasure(
  tx: Tx,
  {
    at,
    percent,
    cause,
  }: { readonly at: Date; readonly percent: Readonly<Record<string, number>>; readonly cause: number },
): Promise<void> {
  const row = { at, percent: JSON.stringify(percent), cause }
  await tx
    .insertInto('inventoryMeasure')
    .values(row)
    .onConflict((is) => is.column('at').doNothing())
    .execute()
}

async function unnamedScopes(tx: Tx, sourceId: string, named: ReadonlySet<string>) {
  const rows = await tx
    .selectFrom('sourceScope')
    .select(['id', 'scope', 'missedAt', 'version'])
    .where('sourceId', '=', sourceId)
    .where('state', '=', 'active')
    .orderBy('id')
    .forUpdate()
    .execute()
  return rows.filter(({ id }) => !named.has(id))
}
