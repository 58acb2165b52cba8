/** Logins as the realm keeps them. They are kept for a time only: what was thrown away between two readings is a gap, and said. */
import { instantAt } from '../../kernel/instant.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import {
  Faltering,
  Unreadable,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { clientOf, everyOf, one, userOf } from './api.ts'
import { CLIENTS, type Reading } from './clients.ts'
import { offlineOf } from './grants.ts'
import { Event } from './shapes.ts'
import { z } from 'zod'

const PAGE = 1_000
/** What is written now may be dated a moment ago. */
const LAG_SECONDS = 10
/** Uses of clients and of users; each has an `…_ERROR` that is none. */
const USES = [
  'LOGIN',
  'CLIENT_LOGIN',
  'CODE_TO_TOKEN',
  'REFRESH_TOKEN',
  'TOKEN_EXCHANGE',
  'OAUTH2_DEVICE_CODE_TO_TOKEN',
  'AUTHREQID_TO_TOKEN',
] as const
/** One instant has no more events than this. */
const AT_ONCE_MAX = 1_000_000

export const EVENTS_MISSING: Missing = {
  what: 'who used what',
  why: 'the realm keeps no events',
  permission: 'user events saved in the realm’s settings, for longer than a day',
}

/** `until`: seen up to here. `at` and `taken`: the instant of the last event, and how many of that instant were taken. */
type Place = { readonly until: number; readonly at: number; readonly taken: number }

function placeOf(cursor: string | undefined): Place | undefined {
  const parts = /^(\d{1,15}):(\d{1,15}):(\d{1,7})$/.exec(cursor ?? '')
  return parts ? { until: Number(parts[1]), at: Number(parts[2]), taken: Number(parts[3]) } : undefined
}

export async function* readEvents(
  reading: Reading,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { kc, realm } = reading
  if (realm.eventsEnabled !== true) return { status: 'unsupported', missing: [EVENTS_MISSING] }
  const before = placeOf(since.cursor)
  const to = secondsAfter(kc.clock.now(), -LAG_SECONDS)
  const keptSeconds = realm.eventsExpiration ?? 0
  const lost = lostOf(before, keptSeconds, kc.clock.now())
  const names = new Map<string, string>()
  for await (const { id, clientId } of everyOf(kc, CLIENTS, signal)) names.set(clientId, id)
  let { until, at, taken } = before ?? { until: 0, at: 0, taken: 0 }
  let gap = lost
  let isCleared = false
  for (;;) {
    // The last that was taken is asked for again: where another stands in its place some were thrown away, and places do not count any more.
    const asked = await askEvents(reading, { from: at, to, first: Math.max(0, taken - 1) }, signal)
    if (taken > 0 && asked[0]?.time !== at) {
      isCleared ||= !isExpired(at, keptSeconds, kc.clock.now())
      ;[at, taken] = [at + 1, 0]
      continue
    }
    const events = taken > 0 ? asked.slice(1) : asked
    const isEnd = asked.length < PAGE
    const told = events.flatMap((event) => tellEvent(event, names))
    // What somebody threw away may have lain anywhere before the first that is still there.
    if (isCleared) gap ??= gapOf(until, events[0]?.time ?? to.getTime())
    for (const { time } of events) {
      if (time < at) throw new Unreadable('the server gives events in another order than it was asked for')
      taken = time === at ? taken + 1 : 1
      at = time
    }
    if (taken > AT_ONCE_MAX) throw new Unreadable('the server gives the same events again and again')
    const seenTo = isEnd ? to.getTime() : at
    const window = windowOf(reading, { from: until === 0 ? events[0]?.time : until, to: seenTo, gap })
    if (window) told.push(window)
    gap = undefined
    until = Math.max(until, seenTo)
    yield { observations: told, cursor: `${until}:${at}:${taken}` }
    if (isEnd) break
  }
  const missing = [...(lost ? [LOST] : []), ...(isCleared ? [CLEARED] : []), ...unkept(realm.enabledEventTypes)]
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

const LOST: Missing = {
  what: 'logins between two readings',
  why: 'the realm threw its events away before they were read',
  permission: 'events that are kept for longer than it is between two readings',
}

const CLEARED: Missing = {
  what: 'logins between two readings',
  why: 'events were taken out of the realm before their time',
  permission: 'events that nobody clears',
}

/** Whether the realm itself lets go of events of that instant by now. */
function isExpired(at: number, keptSeconds: number, now: Date): boolean {
  return keptSeconds > 0 && at < secondsAfter(now, -keptSeconds).getTime()
}

function gapOf(from: number, to: number): readonly [Date, Date] | undefined {
  const [begins, ends] = [instantAt(from), instantAt(to)]
  return begins && ends && begins < ends ? [begins, ends] : undefined
}

/** What the realm had thrown away already when it was asked. */
function lostOf(before: Place | undefined, keptSeconds: number, now: Date): readonly [Date, Date] | undefined {
  const from = before && instantAt(before.until)
  if (!from || keptSeconds <= 0) return undefined
  const oldest = secondsAfter(now, -keptSeconds)
  return from < oldest ? [from, oldest] : undefined
}

/** An empty list of types is those that Keycloak keeps by default, and refreshed tokens are not among them. */
function unkept(enabled: readonly string[]): Missing[] {
  const lacking = enabled.length === 0 ? ['REFRESH_TOKEN'] : USES.filter((type) => !enabled.includes(type))
  if (lacking.length === 0) return []
  return [
    {
      what: `events ${lacking.join(', ')}`,
      why: 'the realm does not keep them',
      permission: 'these types among the saved events',
    },
  ]
}

const Events = z.array(Event).max(PAGE)

/** Oldest first, from an instant on: what comes in meanwhile comes behind. */
async function askEvents(
  { kc }: Reading,
  { from, to, first }: { readonly from: number; readonly to: Date; readonly first: number },
  signal: AbortSignal,
) {
  const query = new URLSearchParams({
    direction: 'asc',
    first: String(first),
    max: String(PAGE),
    dateFrom: String(from),
    dateTo: String(to.getTime()),
  })
  const path = `/events?${query.toString()}`
  const events = await one(kc, { path, need: 'view-events', shape: Events }, signal)
  // A realm without any has a list of none.
  if (!events) throw new Faltering('the server does not give the events of the realm')
  return events
}

function windowOf(
  { kc }: Reading,
  {
    from,
    to,
    gap,
  }: { readonly from: number | undefined; readonly to: number; readonly gap: readonly [Date, Date] | undefined },
): Observation | undefined {
  const [begins, ends] = [from === undefined ? undefined : instantAt(from), instantAt(to)]
  if (!begins || !ends || begins > ends) return undefined
  return {
    kind: 'usage-window',
    semantics: 'auth',
    sees: kc.settings.eventsSeeAll ? 'every-use' : 'samples',
    from: begins,
    to: ends,
    gaps: gap ? [[gap[0], gap[1] < ends ? gap[1] : ends]] : [],
  }
}

function tellEvent(event: Event, names: ReadonlyMap<string, string>): Observation[] {
  const at = instantAt(event.time)
  const type = USES.find((each) => each === event.type)
  if (!at || !type) return []
  const client = event.clientId ? clientNamed(event.clientId, names) : undefined
  const from = event.ipAddress ? { address: event.ipAddress } : {}
  const use = (subject: NativeId, more: { readonly on?: NativeId; readonly actor?: NativeId }): Observation => ({
    kind: 'usage',
    subject,
    semantics: 'auth',
    at,
    count: 1,
    privilege: type,
    from,
    ...(more.on && { on: more.on }),
    actor: more.actor ? { known: true, value: more.actor } : unknown('unsupported'),
  })
  const user = event.userId ? userOf(event.userId) : undefined
  const told: Observation[] = []
  if (client && type !== 'LOGIN') told.push(use(client, {}))
  if (user && (type === 'LOGIN' || type === 'CLIENT_LOGIN')) told.push(use(user, client ? { on: client } : {}))
  if (
    client?.kind === 'client' &&
    type === 'REFRESH_TOKEN' &&
    event.details?.refresh_token_type === 'Offline' &&
    event.sessionId
  )
    told.push(use(offlineOf(event.sessionId, client.id), {}))
  return told
}

/** Events name clients as they were called; one that is not there any more has only its name. */
function clientNamed(name: string, names: ReadonlyMap<string, string>): NativeId {
  const id = names.get(name)
  return id === undefined ? { kind: 'client-name', id: name } : clientOf(id)
}
