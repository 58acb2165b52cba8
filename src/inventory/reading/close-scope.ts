import { sql } from 'kysely'
import type { Missing, ScopeRef, ScopeStatus } from '../../connectors/connector.ts'
import { tame } from '../../connectors/connector.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { MISSING_TOLD, scopeRead } from '../events.ts'
import { linkAccounts } from './link.ts'
import { clearStage, mergeStage } from './merge.ts'
import type { InventoryNeeds } from '../needs.ts'
import { hashedId } from '../object-id.ts'
import { progressOf, type Reading } from './reading.ts'
import type { ScopeOutcome } from './scope-run.ts'
import { TakenOver } from './stage.ts'
import { NotAllNew, type Merging } from './staged-page.ts'
import { foresee, keepBlocks, markAbsent, type Foreseen } from './told.ts'

/** What of a report is kept; more is counted. */
const MISSING_MAX = 100
const WORDS_MAX = 500

export type Closed = {
  readonly scope: string
  readonly status: ScopeStatus
  readonly items: number
  readonly added: number
  readonly changed: number
  readonly missed: number
  readonly gone: number
  readonly missing: readonly Missing[]
}

export function scopeIdOf(sourceId: string, scope: string): string {
  return hashedId(['scope', sourceId, scope])
}

type Closing = { readonly reading: Reading; readonly targetId: string | null }

/**
 * Ends one scope of a reading: what was staged enters the inventory, with the report and its entry, in one transaction. What a scope tells for the
 * first time is taken to be new, each thing once, which is not counted before: where it is not so, all of it is taken back and looked at.
 */
export async function closeScope(
  db: Db,
  needs: InventoryNeeds,
  closing: Closing,
  ref: ScopeRef,
  outcome: ScopeOutcome,
): Promise<Closed> {
  try {
    return await close(db, needs, { ...closing, isAllNew: true }, ref, outcome)
  } catch (error) {
    if (!(error instanceof NotAllNew)) throw error
    return close(db, needs, { ...closing, isAllNew: false }, ref, outcome)
  }
}

async function close(
  db: Db,
  needs: InventoryNeeds,
  { reading, targetId, isAllNew }: Closing & { readonly isAllNew: boolean },
  ref: ScopeRef,
  outcome: ScopeOutcome,
): Promise<Closed> {
  return transact(db, async (tx) => {
    // What was staged just now has no statistics: taken for a handful of rows, each thing kept would be looked for in all of them.
    await sql`set local enable_nestloop = off`.execute(tx)
    await sql`set local work_mem = '64MB'`.execute(tx)
    await mustHold(tx, reading)
    const now = needs.clock.now()
    const scopeId = scopeIdOf(reading.sourceId, ref.scope)
    const { status } = outcome
    const before = await stateOf(tx, scopeId)
    const isWhole = status === 'complete' && ref.isFeed !== true
    const unseen = boundMissing(outcome.missing)
    const foreseen = await foresee(
      tx,
      { readingId: reading.id, scopeId },
      { isWhole, isNew: before === undefined, isAllNew },
    )
    const { told: items } = foreseen
    const cause = await needs.ledger.record(tx, {
      ...reading.act,
      event: scopeRead,
      resource: { type: 'Source', id: reading.sourceId },
      outcome: status === 'complete' || status === 'unchanged' ? 'done' : 'failed',
      facts: {
        readingId: reading.id,
        scope: tame(ref.scope, WORDS_MAX),
        status,
        items,
        ...counted(foreseen),
        missing: unseen.slice(0, MISSING_TOLD).map(({ what, why }) => `${what}: ${why}`),
      },
    })
    const merging = { readingId: reading.id, scopeId, now, cause }
    await putScope(tx, reading.sourceId, ref, { scopeId, cause })
    const merged = await mergeStage(tx, merging, foreseen)
    const absent = isWhole ? await markAbsent(tx, merging, foreseen) : { missed: 0, gone: 0 }
    // While it was not active another scope may have taken over what it told.
    const isOurs = before === undefined || before === 'active'
    const isAsTold = foreseen.isOnce && merged.contested === 0
    await keepBlocks(
      tx,
      { readingId: reading.id, scopeId },
      { isComplete: isWhole && isAsTold && isOurs, isUntouched: isOurs && !isWhole && foreseen.changed === 0 },
    )
    const missing = merged.contested === 0 ? unseen : [...unseen, contested(merged.contested)]
    if (targetId !== null && isWhole) await linkAccounts(tx, needs, { targetId, scopeId, cause, act: reading.act })
    const counts = { items, added: merged.added, changed: merged.changed, ...absent }
    await putReport(tx, merging, { outcome, missing, counts, isFeed: ref.isFeed === true })
    await clearStage(tx, reading.id, scopeId)
    await leaveScope(tx, reading, { scope: ref.scope, now })
    return { scope: ref.scope, status, ...counts, missing }
  })
}

type Report = {
  readonly outcome: ScopeOutcome
  readonly missing: readonly Missing[]
  readonly counts: Pick<Closed, 'items' | 'added' | 'changed' | 'missed' | 'gone'>
  readonly isFeed: boolean
}

/** How the scope ended: what it is from now on, and what this reading of it was. */
async function putReport(
  tx: Tx,
  { readingId, scopeId, now, cause }: Merging,
  { outcome: { status, validator, cursor }, missing, counts, isFeed }: Report,
): Promise<void> {
  const isSeen = status === 'complete' || status === 'unchanged'
  await tx
    .updateTable('sourceScope')
    .set((is) => ({
      status,
      missing: JSON.stringify(missing),
      // While something is missed the next reading has to look, whatever the source says of changes.
      validator:
        counts.missed > 0 ? null : status === 'unchanged' ? (validator ?? is.ref('validator')) : (validator ?? null),
      cursor: isFeed ? (cursor ?? is.ref('cursor')) : null,
      readAt: now,
      ...(isSeen && { seenAt: now }),
      ...(status === 'complete' && { items: counts.items }),
      cause,
    }))
    .where('id', '=', scopeId)
    .execute()
  const report = { readingId, scopeId, status, ...counts, missing: JSON.stringify(missing) }
  await tx
    .insertInto('scopeReport')
    .values({ ...report, readAt: now, cause })
    .execute()
}

/**
 * The next scope may be under way already, and then the place is its own. Last, and only here is the reading's row locked: pages of the next scope
 * are kept while this one enters the inventory. Who took the reading over before now finds this scope unread; who comes later finds it closed.
 */
async function leaveScope(
  tx: Tx,
  reading: Reading,
  { scope, now }: { readonly scope: string; readonly now: Date },
): Promise<void> {
  const { rows } = await sql`
    update reading_progress
       set scope = case when scope is distinct from ${scope} then scope end,
           cursor = case when scope is distinct from ${scope} then cursor end,
           pages = case when scope is distinct from ${scope} then pages else 0 end,
           beat_at = ${now}
     where reading_id = ${reading.id} and holder_id = ${reading.holderId}
    returning reading_id`.execute(tx)
  if (rows.length !== 1) throw new TakenOver('another node went on with this reading')
}

/** What was taken over already need not be begun. */
async function mustHold(tx: Tx, reading: Reading): Promise<void> {
  if (!(await progressOf(tx, reading))) throw new TakenOver('another node went on with this reading')
}

async function putScope(
  tx: Tx,
  sourceId: string,
  ref: ScopeRef,
  { scopeId, cause }: { scopeId: string; cause: number },
) {
  const title = ref.title === undefined ? null : tame(ref.title, WORDS_MAX)
  const isFeed = ref.isFeed === true
  await tx
    .insertInto('sourceScope')
    .values({ id: scopeId, sourceId, scope: tame(ref.scope, WORDS_MAX), title, isFeed, cause })
    .onConflict((is) =>
      is.column('id').doUpdateSet({
        title,
        isFeed,
        state: 'active',
        missedAt: null,
        version: sql<number>`source_scope.version + 1`,
        cause,
      }),
    )
    .execute()
}

function boundMissing(missing: readonly Missing[]): Missing[] {
  const kept = missing.slice(0, MISSING_MAX).map(({ what, why, permission }) => ({
    what: tame(what, WORDS_MAX),
    why: tame(why, WORDS_MAX),
    ...(permission !== undefined && { permission: tame(permission, WORDS_MAX) }),
  }))
  const more = missing.length - kept.length
  return more === 0 ? kept : [...kept, { what: `${more} more`, why: 'the list is longer than what is kept of it' }]
}

function counted({ changed, missed, gone }: Foreseen) {
  return { changed, missed, gone }
}

function contested(count: number): Missing {
  return { what: `${count} things`, why: 'another scope told them before and still does' }
}

async function stateOf(tx: Tx, scopeId: string): Promise<string | undefined> {
  const scope = await tx.selectFrom('sourceScope').select('state').where('id', '=', scopeId).executeTakeFirst()
  return scope?.state
}
