import {
  LogLines,
  openLog,
  type Missing,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { readAuditEvents, useOf, type AuditEvent } from './audit-events.ts'
import type { Cluster } from './cluster.ts'
import { readPosted } from './audit-posted.ts'
import { instantOf, serviceAccount, SERVICE_ACCOUNTS, type AccountOf } from './things.ts'

const PAGE_USES = 2_000

export const AUDIT_MISSING: Missing = {
  what: 'who asked the API server for what',
  why: 'no audit log was named, and nobody to post it',
  permission:
    'settings.auditLog with a file that the node can read, or settings.auditDeliveredBy with the identity as which the API server posts; and an audit policy',
}

/** Where the reading is: which file, how far, and the time of its last event. */
type Place = { readonly file: string; readonly offset: number; readonly until: string }

function placeOf(cursor: string | undefined): Place | undefined {
  const parts = /^(\d+):(\d+):(.*)$/.exec(cursor ?? '')
  return parts ? { file: parts[1] ?? '', offset: Number(parts[2]), until: parts[3] ?? '' } : undefined
}

/** Reads the audit log on from where the last reading ended. Another file under the name is read from its beginning, and what was between is a gap. */
export async function* readAudit(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { auditLog, auditDeliveredBy, auditSeesAll } = cluster.api.settings
  if (auditLog === undefined && auditDeliveredBy === undefined)
    return { status: 'unsupported', missing: [AUDIT_MISSING] }
  const names = await cluster.names(SERVICE_ACCOUNTS, signal)
  const byName: AccountOf = (username) => {
    const [namespace = '', name = ''] = username.slice('system:serviceaccount:'.length).split(':')
    const found = names?.get(`${namespace}/${name}`)
    return found && serviceAccount(found.uid)
  }
  if (auditLog === undefined) return yield* readPosted(cluster, byName, since, signal)
  await using file = await openLog(auditLog)
  const { ino, size } = await file.stat()
  const before = placeOf(since.cursor)
  const goesOn = before?.file === String(ino) && before.offset <= size
  const lines = new LogLines(goesOn ? before.offset : 0)
  let until = goesOn ? before.until : ''
  let unread = 0
  let events: AuditEvent[] = []
  const page = (): Page => {
    const observations = [...events.flatMap((event) => useOf(event, byName)), ...windowOf(events, until, auditSeesAll)]
    until = latestOf(events) ?? until
    events = []
    return { observations, cursor: `${ino}:${lines.taken}:${until}` }
  }
  for await (const line of lines.of(file, signal)) {
    const read = readAuditEvents(line)
    unread += read.unread
    for (const event of read.events) events.push(event)
    if (events.length >= PAGE_USES) yield page()
  }
  yield page()
  const missing: Missing[] = []
  if (names && names.unread > 0)
    missing.push({ what: `whose uses those of ${names.unread} accounts are`, why: 'they are not as the API has them' })
  if (before && !goesOn)
    missing.push({ what: 'what was logged between two files', why: 'the log was rotated since the last reading' })
  if (unread > 0) missing.push({ what: `${unread} lines`, why: 'they are no audit events' })
  if (lines.tooLong > 0) missing.push({ what: `${lines.tooLong} lines`, why: 'they are longer than any audit event' })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function latestOf(events: readonly AuditEvent[]): string | undefined {
  return events.reduce<string | undefined>((latest, { requestReceivedTimestamp: at }) => {
    return instantOf(at) && (latest === undefined || at > latest) ? at : latest
  }, undefined)
}

/** From the last event of the reading before to the last of these. Events are written as requests end, so a little out of order. */
function windowOf(events: readonly AuditEvent[], until: string, seesAll: boolean): Observation[] {
  const first = events[0]?.requestReceivedTimestamp
  const [from, to] = [instantOf(until === '' ? first : until), instantOf(latestOf(events))]
  if (!from || !to || to < from) return []
  return [{ kind: 'usage-window', semantics: 'api-call', sees: seesAll ? 'every-use' : 'samples', from, to }]
}
