/**
 * One run of a connector over a source, whatever happens on the way. Connectors tell pages; what is new, what changed and what is gone is decided
 * here, scope by scope: pages are staged with their place, so that whoever takes a dead reading over goes on behind the last one, and a scope
 * enters the inventory in one transaction with its report. The source, this node and the database work at the same time: while a page is written
 * the next is asked for and made ready, while a scope enters the next is read. What is not committed was not read, for whoever goes on. Nothing is missed but after a complete reading, nothing gone but after two.
 */
import { sql } from 'kysely'
import { Unreadable, type Missing, type OpenSource, type Probe, type ScopeRef } from '../../connectors/connector.ts'
import { transact, violatedConstraint, type Db } from '../../kernel/db.ts'
import { conflict } from '../../kernel/problem.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { every } from '../../kernel/timer.ts'
import { closeScope, scopeIdOf, type Closed } from './close-scope.ts'
import { sourceRecognised } from '../events.ts'
import type { InventoryNeeds } from '../needs.ts'
import { forgetRead } from '../sources/inbox.ts'
import { measureWhenDue } from '../measure.ts'
import { clearStages } from './merge.ts'
import { openSource } from '../sources/open-source.ts'
import {
  beat,
  beginReading,
  DEAD_SECONDS,
  endReading,
  progressOf,
  type Ended,
  type Reading,
  type ReadingAct,
} from './reading.ts'
import { readScope, sentenceOf, type OnPage } from './scope-run.ts'
import { loadSource, type SourceRecord } from '../sources/source-records.ts'
import { TakenOver } from './stage.ts'
import { refreshStatistics } from './statistics.ts'

/** More parts than any source has; a listing that goes on for ever ends here. */
const SCOPES_MAX = 100_000
const SCHEDULE_SECONDS = { never: null, daily: 86_400, weekly: 7 * 86_400 } as const

export type Collected = {
  readonly readingId: string
  readonly outcome: Ended['outcome']
  readonly problem: string | null
  readonly scopes: readonly Closed[]
}
export type Watch = {
  readonly signal: AbortSignal
  readonly onPage?: OnPage
  readonly onScope?: (closed: Closed) => void
}

/**
 * Reads a source now. Throws `conflict` when it is retired or somebody reads it already, also when that becomes so meanwhile, and on abort, after
 * which the reading is cancelled.
 */
export async function collectSource(
  db: Db,
  needs: InventoryNeeds,
  sourceId: string,
  act: ReadingAct,
  watch: Watch,
): Promise<Collected> {
  const reading = await beginReading(db, needs, sourceId, act)
  using _beats = every((DEAD_SECONDS / 3) * 1000, () => {
    beat(db, needs, reading).catch((error: unknown) =>
      needs.log.debug({ err: error }, 'a reading could not say that it goes on'),
    )
  })
  const closed: Closed[] = []
  const record = await loadSource(db, sourceId)
  try {
    const ended = await readAll({ db, needs, record, reading, watch, closed })
    await forgetRead(db, needs, record)
    await refreshStatistics(db)
    const percent = await measureWhenDue(db, needs.clock)
    await endReading(db, needs, reading, {
      ...ended,
      ...(percent && { percent }),
      next: nextAfter(needs, record),
    })
    return { readingId: reading.id, outcome: ended.outcome, problem: ended.problem, scopes: closed }
  } catch (error) {
    if (error instanceof TakenOver) throw overtaken(record, error)
    const isCancelled = watch.signal.aborted
    const problem = isCancelled ? 'it was cancelled' : sentenceOf(error)
    const outcome = isCancelled ? ('cancelled' as const) : ('failed' as const)
    if (!isCancelled) needs.log.warn({ err: error, source: record.name }, 'a source could not be read')
    await endReading(db, needs, reading, {
      outcome,
      problem,
      scopes: counted(closed),
      named: undefined,
      next: nextAfter(needs, record),
    })
    if (isCancelled) throw error
    return { readingId: reading.id, outcome, problem, scopes: closed }
  }
}

function overtaken({ id }: SourceRecord, cause: TakenOver) {
  const detail = 'This reading is over: another node went on with it, or the source was retired.'
  return conflict(detail, { type: 'Source', id, state: 'taken-over' }, { cause })
}

type Work = {
  readonly db: Db
  readonly needs: InventoryNeeds
  readonly record: SourceRecord
  readonly reading: Reading
  readonly watch: Watch
  readonly closed: Closed[]
}

async function readAll(work: Work): Promise<Omit<Ended, 'next'>> {
  const { db, needs, record, reading, watch, closed } = work
  const { signal } = watch
  await using source = await openSource(db, needs, record, signal)
  const probe = await source.probe(signal)
  const authority = await recognise(db, needs, record, reading, probe)
  const { refs, isAll, missing } = await scopesOf(source, signal)
  await using closing = new Closing()
  for (const ref of await inOrder(work, refs)) {
    signal.throwIfAborted()
    const known = await knownOf(db, record.id, ref.scope)
    const onPage: OnPage = watch.onPage ?? (() => undefined)
    const until = AbortSignal.any([signal, closing.failed])
    const outcome = await readScope({ db, needs, source, reading, authority, onPage }, ref, known, until)
    await closing.begin(async () => {
      const scope = await closeScope(db, needs, { reading, targetId: record.targetId }, ref, outcome)
      closed.push(scope)
      watch.onScope?.(scope)
    })
  }
  await closing.last()
  const isWhole = isAll && closed.every(({ status }) => status === 'complete' || status === 'unchanged')
  return {
    outcome: isWhole ? 'complete' : 'partial',
    problem: missing[0] ? `${missing[0].what}: ${missing[0].why}` : null,
    scopes: counted(closed),
    named: isAll ? new Set(refs.map(({ scope }) => scopeIdOf(record.id, scope))) : undefined,
  }
}

/** One scope enters the inventory while the next is read, and no more than one: in the order in which they were read. */
class Closing implements AsyncDisposable {
  readonly #failed = new AbortController()
  #under: Promise<void> = Promise.resolve()

  /** Aborts with what went wrong: what is read meanwhile is for nothing. */
  get failed(): AbortSignal {
    return this.#failed.signal
  }

  /** Waits for the one before. */
  async begin(close: () => Promise<void>): Promise<void> {
    await this.#under
    this.#under = close()
    this.#under.catch((error: unknown) => this.#failed.abort(error))
  }

  last(): Promise<void> {
    return this.#under
  }

  /** What is under way is over one way or the other before anybody says how the reading ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#under.catch(() => undefined)
  }
}

/** The system must be the one it was: another behind the same address would make everything look gone. */
async function recognise(
  db: Db,
  needs: InventoryNeeds,
  record: SourceRecord,
  reading: Reading,
  probe: Probe,
): Promise<string> {
  const { authority, system } = probe
  if (record.authority !== null && record.authority !== authority) {
    throw new Unreadable(
      'another system answers at this address than the one that was read before; nothing of it was kept',
    )
  }
  if (record.authority === authority && record.system === system) return authority
  try {
    await transact(db, async (tx) => {
      const cause = await needs.ledger.record(tx, {
        ...reading.act,
        event: sourceRecognised,
        resource: { type: 'Source', id: record.id },
        outcome: 'done',
        facts: { authority, system },
      })
      await tx
        .updateTable('source')
        .set({ authority, system, version: sql<number>`version + 1`, cause })
        .where('id', '=', record.id)
        .execute()
    })
  } catch (error) {
    if (violatedConstraint(error) !== 'source_authority') throw error
    const other = await db
      .selectFrom('source')
      .select('name')
      .where('authority', '=', authority)
      .where('state', '=', 'active')
      .executeTakeFirst()
    throw new Unreadable(`this system is read already, as the source ${other?.name ?? 'that was there first'}`)
  }
  return authority
}

async function scopesOf(source: OpenSource, signal: AbortSignal) {
  const refs = new Map<string, ScopeRef>()
  const listing = source.scopes(signal)
  for (;;) {
    const next = await listing.next()
    if (next.done) return { refs: [...refs.values()], isAll: next.value.isAll, missing: next.value.missing }
    refs.set(next.value.scope, next.value)
    if (refs.size < SCOPES_MAX) continue
    await listing.return({ isAll: false, missing: [] })
    const missing: Missing[] = [{ what: 'further scopes', why: `only ${SCOPES_MAX} are read` }]
    return { refs: [...refs.values()], isAll: false, missing }
  }
}

/** What is left to read: the scope that a dead reader left half read first, and none that it had closed. */
async function inOrder({ db, reading, closed }: Work, refs: readonly ScopeRef[]): Promise<ScopeRef[]> {
  const progress = await progressOf(db, reading)
  const reported = await db
    .selectFrom('scopeReport as r')
    .innerJoin('sourceScope as s', 's.id', 'r.scopeId')
    .select(['r.scopeId', 's.scope', 'r.status', 'r.items', 'r.added', 'r.changed', 'r.missed', 'r.gone'])
    .where('r.readingId', '=', reading.id)
    .execute()
  closed.push(...reported.map(({ scopeId: _scopeId, ...report }) => ({ ...report, missing: [] })))
  const isDone = new Set(reported.map(({ scopeId }) => scopeId))
  const left = refs.filter(({ scope }) => !isDone.has(scopeIdOf(reading.sourceId, scope)))
  const half = left.find(({ scope }) => scope === progress?.scope)
  // What was read of a scope that is not named any more belongs to nothing; one that did not get to enter the inventory is read once more.
  await clearStages(db, reading.id, half ? scopeIdOf(reading.sourceId, half.scope) : null)
  return half ? [half, ...left.filter((ref) => ref !== half)] : left
}

async function knownOf(db: Db, sourceId: string, scope: string) {
  const id = scopeIdOf(sourceId, scope)
  const row = await db.selectFrom('sourceScope').select(['cursor', 'validator']).where('id', '=', id).executeTakeFirst()
  return { id, cursor: row?.cursor ?? null, validator: row?.validator ?? null }
}

function counted(closed: readonly Closed[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status } of closed) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

function nextAfter({ clock }: InventoryNeeds, { schedule, nextReadAt }: SourceRecord): Ended['next'] {
  const seconds = SCHEDULE_SECONDS[schedule]
  return { before: nextReadAt, at: seconds === null ? null : secondsAfter(clock.now(), seconds) }
}
