import {
  Denied,
  Faltering,
  SlowDown,
  Unreadable,
  type Missing,
  type OpenSource,
  type ScopeRef,
  type ScopeReport,
} from '../../connectors/connector.ts'
import type { Db } from '../../kernel/db.ts'
import { after } from '../../kernel/timer.ts'
import type { InventoryNeeds } from '../needs.ts'
import { Circles } from './circles.ts'
import { loadStanding, type Standing } from './blocks.ts'
import { progressOf, type Reading } from './reading.ts'
import { preparePage, type Prepared, type Staging } from './prepare.ts'
import { stagePage, TakenOver } from './stage.ts'
import { countTold } from './told.ts'

/** A page that takes longer does not come. */
const PAGE_MS = 120_000
/** Tries behind the same page before the scope is left as it is. */
const TRIES = 4
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000
/** How long a source may ask for patience in one scope, in all. */
const PATIENCE_MS = 15 * 60_000
/** More pages than any scope has: five thousand million observations. */
const PAGES_MAX = 1_000_000

export type Known = { readonly id: string; readonly cursor: string | null; readonly validator: string | null }
/** How reading one scope went; what was read is staged. */
export type ScopeOutcome = Pick<ScopeReport, 'status' | 'validator'> & {
  readonly missing: readonly Missing[]
  readonly cursor: string | undefined
}
export type OnPage = (progress: { readonly scope: string; readonly pages: number; readonly items: number }) => void

type Run = {
  readonly db: Db
  readonly needs: InventoryNeeds
  readonly source: OpenSource
  readonly reading: Reading
  readonly authority: string
  readonly onPage: OnPage
}

/**
 * Reads one scope to its end, going on behind the last page after a wait when the source fails or asks for patience. Throws only on abort and when
 * another node took the reading over; everything else is an outcome.
 */
export async function readScope(run: Run, ref: ScopeRef, known: Known, signal: AbortSignal): Promise<ScopeOutcome> {
  const standing = await loadStanding(run.db, known.id, ref.isFeed === true)
  let tries = 0
  let patienceMs = PATIENCE_MS
  let cursorBefore: string | undefined
  for (;;) {
    const { pages, cursor } = await placeOf(run, ref)
    // A source that gets further is not failing; one that does not, or cannot be gone on with, has so many tries.
    if (cursor !== cursorBefore) tries = 0
    cursorBefore = cursor
    const since = ref.isFeed
      ? { cursor: cursor ?? known.cursor ?? undefined }
      : { cursor, validator: cursor === undefined ? (known.validator ?? undefined) : undefined }
    try {
      const report = await readOn(run, { ref, scopeId: known.id, standing, from: { ...since, pages } }, signal)
      return outcomeOf(report, await placeOf(run, ref))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof TakenOver) throw error
      if (error instanceof Denied) return withPlace(run, ref, { status: 'denied', missing: [error.missing] })
      const waitMs = error instanceof SlowDown ? patienceFor(error, tries) : backoff(tries)
      if (error instanceof SlowDown) patienceMs -= waitMs
      else tries += 1
      const isOver = error instanceof Unreadable || tries >= TRIES || patienceMs < 0
      if (!isOver) {
        run.needs.log.debug({ err: error, scope: ref.scope }, 'reading a scope goes on after a wait')
        await run.needs.wait(waitMs, signal)
        continue
      }
      run.needs.log.warn({ err: error, scope: ref.scope }, 'a scope could not be read to its end')
      return withPlace(run, ref, {
        status: 'partial',
        missing: [{ what: 'the rest of it', why: sentenceOf(error) }],
      })
    }
  }
}

async function withPlace(run: Run, ref: ScopeRef, outcome: Omit<ScopeOutcome, 'cursor'>): Promise<ScopeOutcome> {
  const { cursor } = await placeOf(run, ref)
  return { ...outcome, cursor }
}

/** One that asks for patience and names no time, or none that is to come, would be asked again at once and for ever. */
function patienceFor({ retryAfterMs }: SlowDown, tries: number): number {
  return Math.max(retryAfterMs ?? backoff(tries), FIRST_WAIT_MS)
}

function backoff(tries: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS)
}

/** Where the reading is in this scope, and what it has found out beside its pages, whoever read them. */
async function placeOf(run: Run, ref: ScopeRef) {
  const progress = await progressOf(run.db, run.reading)
  if (!progress) throw new TakenOver('another node went on with this reading')
  if (progress.scope !== ref.scope) return { pages: 0, cursor: undefined, refused: 0, fromFuture: 0 }
  return { ...progress, cursor: progress.cursor ?? undefined }
}
type ScopePlace = Awaited<ReturnType<typeof placeOf>>

type From = { readonly cursor?: string | undefined; readonly validator?: string | undefined; readonly pages: number }

type Place = {
  readonly ref: ScopeRef
  readonly scopeId: string
  readonly standing: Standing
  readonly from: From
}

async function readOn(run: Run, { ref, scopeId, standing, from }: Place, signal: AbortSignal): Promise<ScopeReport> {
  const { db, needs, source, reading, authority } = run
  const over = new AbortController()
  const reads = source.read(
    ref.scope,
    { cursor: from.cursor, validator: from.validator },
    AbortSignal.any([signal, over.signal]),
  )
  const circles = new Circles(async () => (await countTold(db, { readingId: reading.id, scopeId })).told)
  let { pages } = from
  const keep = async (staging: Staging, page: Prepared) => {
    await stagePage(db, staging, page)
    if (await circles.hasClosed({ cursor: page.cursor, digest: page.digest })) {
      throw new Unreadable('the source gives the same pages again and again')
    }
    run.onPage({ scope: ref.scope, pages: page.number, items: page.told })
  }
  // The page before, which is written while the next one is asked for and made ready.
  let before: Promise<void> = Promise.resolve()
  try {
    for (;;) {
      const next = await inTime(reads.next(), before, signal)
      if (next.done) {
        await before
        signal.throwIfAborted()
        return next.value
      }
      pages += 1
      if (pages > PAGES_MAX) throw new Unreadable('it has more pages than any source has')
      const staging: Staging = {
        readingId: reading.id,
        holderId: reading.holderId,
        scope: ref.scope,
        scopeId,
        authority,
        standing,
        now: needs.clock.now(),
      }
      const page = preparePage(staging, next.value, pages)
      await before
      before = keep(staging, page)
    }
  } finally {
    over.abort(new Error('this reading of the scope is over'))
    // Not waited for: a connector that hangs would hold the rest up.
    void reads.return({ status: 'partial', missing: [] }).catch(() => undefined)
    // Where the reading is says the database, once this is written; that it could not be written counts for more than how the source ended.
    await before
  }
}

/** Rejects when a page does not come, whether or not the connector heeds the signal, and when the one before could not be kept. */
async function inTime<T>(page: Promise<T>, before: Promise<void>, signal: AbortSignal): Promise<T> {
  page.catch(() => undefined)
  const late = Promise.withResolvers<never>()
  using _timer = after(PAGE_MS, () => late.reject(new Error('a page did not come in time')))
  const onAbort = () => late.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  before.catch(late.reject)
  try {
    signal.throwIfAborted()
    return await Promise.race([page, late.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function outcomeOf(report: ScopeReport, { cursor, refused, fromFuture }: ScopePlace): ScopeOutcome {
  const missing = [...report.missing]
  if (refused > 0) {
    missing.push({
      what: `${refused} observations`,
      why: 'they were not as the contract has them and were not kept',
    })
  }
  if (fromFuture > 0) {
    missing.push({
      what: `the time of ${fromFuture} uses`,
      why: 'the clock of the source is ahead; they count as of now',
    })
  }
  // What was not kept must not be taken for gone.
  const status = refused > 0 && report.status === 'complete' ? 'partial' : report.status
  return {
    status,
    validator: status === 'complete' || status === 'unchanged' ? report.validator : undefined,
    missing,
    cursor,
  }
}

/** What may be said aloud of a failure: sentences of ours, or a code. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Unreadable || error instanceof Faltering || error instanceof Denied || error instanceof SlowDown)
    return error.message
  const code = codeIn(error)
  return code === undefined ? 'reading failed; the log says why' : `reading failed (${code})`
}

/** The code of the system or the server, wherever in the chain of causes it is. */
function codeIn(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return /^[A-Z0-9_]{1,40}$/.test(code) ? code : codeIn(error.cause)
}
