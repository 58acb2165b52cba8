/** Lists that grow at their end: read on from where the last reading ended, by the instant of each entry. */
import { secondsAfter } from '../../kernel/clock.ts'
import { instantAt } from '../../kernel/instant.ts'
import { z } from 'zod'
import { inPages, parsed, Unreadable, type Observation, type Page, type Since } from '../connector.ts'
import { instantOf, PAGE, type Airflow } from './api.ts'

const DAY_SECONDS = 86_400
/** What is written now may be dated a moment ago: transactions of the scheduler take their time. */
const LAG_SECONDS = 30
/** One instant has no more entries than this. */
const AT_ONCE_MAX = 1_000_000

export type Feed<T> = {
  readonly path: string
  readonly field: string
  /** What it is ordered by, and how entries from an instant on, and until one, are asked for. */
  readonly order: string
  readonly range: (from: Date, to: Date) => Readonly<Record<string, string>>
  readonly need: string
  readonly shape: z.ZodType<T>
  readonly whenOf: (entry: T) => string | null | undefined
}
type Told<T> = {
  readonly entries: (entries: readonly T[]) => Observation[] | Promise<Observation[]>
  /** At the end of a reading: what was seen since the last one that came to its end. */
  readonly window?: (from: Date, to: Date) => AsyncIterable<Observation>
}

/** `until`: where the last reading that came to its end ended. `at` and `taken`: the instant of the last entry, and how many of that instant were taken. */
type Place = { readonly until: number; readonly at: number; readonly taken: number }

function placeOf(cursor: string | undefined): Place | undefined {
  const parts = /^(\d{1,15}):(\d{1,15}):(\d{1,7})$/.exec(cursor ?? '')
  return parts ? { until: Number(parts[1]), at: Number(parts[2]), taken: Number(parts[3]) } : undefined
}

/** Where the last reading that came to its end ended; undefined before there is one. */
export function readUntil(since: Since): { readonly until: Date; readonly hasTaken: boolean } | undefined {
  const place = placeOf(since.cursor)
  return place && { until: dateOf(place.until), hasTaken: place.taken > 0 }
}

export async function* readFeed<T>(
  airflow: Airflow,
  feed: Feed<T>,
  since: Since,
  tell: Told<T>,
  signal: AbortSignal,
): AsyncGenerator<Page, void> {
  const to = secondsAfter(airflow.clock.now(), -LAG_SECONDS)
  const begin = secondsAfter(to, -airflow.settings.historyDays * DAY_SECONDS).getTime()
  let { until, at, taken } = placeOf(since.cursor) ?? { until: begin, at: begin, taken: 0 }
  while (at <= to.getTime()) {
    // The last that was taken is asked for again: where another stands in its place some were deleted, and places do not count any more.
    const again = Math.max(0, taken - 1)
    const asked = await askFeed(airflow, feed, { from: dateOf(at), to, again }, signal)
    const [first] = asked
    if (taken > 0 && (first === undefined || timeOf(feed, first) !== at)) {
      ;[at, taken] = [at + 1, 0]
      continue
    }
    const entries = taken > 0 ? asked.slice(1) : asked
    if (entries.length === 0) break
    for (const entry of entries) {
      const time = timeOf(feed, entry)
      if (time === undefined || time < at)
        throw new Unreadable('the server gives entries in another order than it was asked for')
      taken = time === at ? taken + 1 : 1
      at = time
    }
    if (taken > AT_ONCE_MAX) throw new Unreadable('the server gives the same entries again and again')
    yield* inPages(await tell.entries(entries), `${until}:${at}:${taken}`)
  }
  const last: Observation[] = []
  if (tell.window && to > dateOf(until)) for await (const one of tell.window(dateOf(until), to)) last.push(one)
  yield* inPages(last, `${Math.max(until, to.getTime())}:${at}:${taken}`)
}

function timeOf<T>(feed: Feed<T>, entry: T): number | undefined {
  return instantOf(feed.whenOf(entry))?.getTime()
}

function dateOf(at: number): Date {
  const date = instantAt(at)
  if (!date) throw new Unreadable('there is no such instant')
  return date
}

async function askFeed<T>(
  airflow: Airflow,
  feed: Feed<T>,
  { from, to, again }: { readonly from: Date; readonly to: Date; readonly again: number },
  signal: AbortSignal,
): Promise<readonly T[]> {
  const query = new URLSearchParams({ limit: String(PAGE), offset: String(again), ...feed.range(from, to) })
  query.append('order_by', feed.order)
  query.append('order_by', 'id')
  const told = await airflow.ask(`${feed.path}?${query.toString()}`, feed.need, signal)
  if (told === undefined) throw new Unreadable('the server has no such list')
  return parsed(z.object({ [feed.field]: z.array(feed.shape).max(PAGE) }), told)[feed.field] ?? []
}
