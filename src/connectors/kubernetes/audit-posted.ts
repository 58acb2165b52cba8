import type { Inbox, Missing, Observation, Page, Posted, ScopeReport, Since } from '../connector.ts'
import { auditEventsIn, isLast, useOf, type AuditEvent } from './audit-events.ts'
import type { Cluster } from './cluster.ts'
import { KubernetesSourceSettings } from './settings.ts'
import { instantOf, type AccountOf } from './things.ts'

/** An API server renews leases of its own every few seconds: one that says nothing for longer said it elsewhere, or to nobody. */
const QUIET_MS = 10 * 60_000

/** The audit webhook backend of the API server posts here (audit.k8s.io/v1, `EventList`). */
export const auditInbox: Inbox = {
  scope: 'audit',
  delivererOf: (settings) => KubernetesSourceSettings.parse(settings).auditDeliveredBy,
  itemsOf(posted) {
    const { events, unread } = auditEventsIn(posted)
    const last = events.filter(({ stage }) => isLast(stage))
    const items = last.flatMap(postedOf)
    return { items, unread: unread + last.length - items.length }
  },
  placeOf: (cursor) => placeOf(cursor).place,
}

/** A request has one id over all its stages, and it is the same when its event is posted again. */
function postedOf(event: AuditEvent): Posted[] {
  const at = instantOf(event.stageTimestamp)
  if (event.auditID === undefined || !at || !instantOf(event.requestReceivedTimestamp)) return []
  return [{ id: event.auditID, at, content: event }]
}

/** Behind which event the reading is, how many were refused before it, and when the last one came about. */
type Place = { readonly place: number; readonly refused: number; readonly until: Date | undefined }

function placeOf(cursor: string | undefined): Place {
  const parts = /^posted:(\d+):(\d+):(.*)$/.exec(cursor ?? '')
  return { place: Number(parts?.[1] ?? 0), refused: Number(parts?.[2] ?? 0), until: instantOf(parts?.[3]) }
}

function cursorOf({ place, refused, until }: Place): string {
  return `posted:${place}:${refused}:${until?.toISOString() ?? ''}`
}

/** Reads what was posted since the last reading. A silence is a gap in the window. */
export async function* readPosted(
  { api, given }: Cluster,
  accounts: AccountOf,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { delivered } = given
  const before = placeOf(since.cursor)
  let { place, until } = before
  let { refused } = before
  let { cursor } = since
  const gaps: Gap[] = []
  for (;;) {
    signal.throwIfAborted()
    const waiting = await delivered?.(place)
    refused = waiting?.refused ?? refused
    const items = waiting?.items ?? []
    if (items.length === 0) break
    const events = items.flatMap(({ content }) => auditEventsIn(content).events)
    const seen = windowsOf(events, until, api.settings.auditSeesAll)
    until = seen.until
    gaps.push(...seen.gaps)
    place = items.at(-1)?.place ?? place
    const observations = [...events.flatMap((event) => useOf(event, accounts)), ...seen.windows]
    // What was refused is said at the end, of this reading or of one that goes on with it.
    cursor = cursorOf({ ...before, place, until })
    yield { observations, cursor }
  }
  const end = cursorOf({ place, refused, until })
  if (end !== cursor) yield { observations: [], cursor: end }
  const missing = missingOf({ gaps, until, now: given.clock.now(), refused: refused - before.refused })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

type Gap = { readonly from: Date; readonly to: Date }

/** One window from event to event, broken where nothing came for long. Events come a little out of order. */
function windowsOf(events: readonly AuditEvent[], until: Date | undefined, seesAll: boolean) {
  const times = events
    .flatMap(({ stageTimestamp }) => instantOf(stageTimestamp) ?? [])
    .toSorted((a, b) => a.getTime() - b.getTime())
  const windows: Observation[] = []
  const gaps: Gap[] = []
  let from = until ?? times[0]
  let to = from
  const shut = () => {
    if (!from || !to || to <= from) return
    windows.push({ kind: 'usage-window', semantics: 'api-call', sees: seesAll ? 'every-use' : 'samples', from, to })
  }
  for (const at of times) {
    if (to && at.getTime() - to.getTime() > QUIET_MS) {
      shut()
      gaps.push({ from: to, to: at })
      from = at
    }
    if (!to || at > to) to = at
  }
  shut()
  return { windows, gaps, until: to }
}

type Doubts = {
  readonly gaps: readonly Gap[]
  readonly until: Date | undefined
  readonly now: Date
  readonly refused: number
}

function missingOf({ gaps, until, now, refused }: Doubts): Missing[] {
  const missing: Missing[] = gaps.map(({ from, to }) => ({
    what: `requests from ${from.toISOString()} to ${to.toISOString()}`,
    why: 'the API server posted nothing about that time',
  }))
  if (!until) missing.push({ what: 'who asked the API server for what', why: 'it has posted no event so far' })
  else if (now.getTime() - until.getTime() > QUIET_MS)
    missing.push({ what: `requests since ${until.toISOString()}`, why: 'the API server posts nothing any more' })
  if (refused > 0)
    missing.push({ what: `${refused} events`, why: 'they were none, came too late, or there was no room for them' })
  return missing
}
