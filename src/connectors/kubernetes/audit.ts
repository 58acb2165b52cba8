import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { Unreadable, type Missing, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { readAuditEvents, useOf, type AuditEvent } from './audit-events.ts'
import type { Cluster } from './cluster.ts'
import { instantOf, serviceAccount, SERVICE_ACCOUNTS } from './things.ts'

const CHUNK_BYTES = 1024 * 1024
/** An event holds no more (the API server cuts bodies at 1.5 MB by default); a batch of the webhook may hold many. */
const LINE_BYTES = 16 * 1024 * 1024
const PAGE_USES = 2_000

export const AUDIT_MISSING: Missing = {
  what: 'who asked the API server for what',
  why: 'no audit log was named',
  permission: 'settings.auditLog with a file that the node can read, and an audit policy',
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
  const { auditLog, auditSeesAll } = cluster.api.settings
  if (auditLog === undefined) return { status: 'unsupported', missing: [AUDIT_MISSING] }
  const names = await cluster.names(SERVICE_ACCOUNTS, signal)
  const byName = (username: string) => {
    const [namespace = '', name = ''] = username.slice('system:serviceaccount:'.length).split(':')
    const found = names?.get(`${namespace}/${name}`)
    return found && serviceAccount(found.uid)
  }
  await using file = await openLog(auditLog)
  const { ino, size } = await file.stat()
  const before = placeOf(since.cursor)
  const goesOn = before?.file === String(ino) && before.offset <= size
  const lines = new Lines(goesOn ? before.offset : 0)
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

async function openLog(path: string): Promise<FileHandle> {
  try {
    // A link could point anywhere by the time it is read; a device or a pipe would never end.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    throw new Unreadable('the audit log cannot be read', { cause: error })
  }
  throw new Unreadable('the audit log is not a file')
}

/** Whole lines from a place on; `taken` is where the last of them ended. What has no end yet is read next time. */
class Lines {
  taken: number
  tooLong = 0

  constructor(from: number) {
    this.taken = from
  }

  async *of(file: FileHandle, signal: AbortSignal): AsyncGenerator<string, void> {
    let held: Buffer[] = []
    let size = 0
    let isSkipped = false
    for (let at = this.taken; ;) {
      signal.throwIfAborted()
      const buffer = Buffer.alloc(CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at)
      if (bytesRead === 0) return
      at += bytesRead
      let from = 0
      for (let end = buffer.indexOf(0x0a); end >= 0 && end < bytesRead; end = buffer.indexOf(0x0a, from)) {
        const line = Buffer.concat([...held, buffer.subarray(from, end)])
        this.taken += line.length + 1 + (isSkipped ? size : 0)
        held = []
        size = 0
        from = end + 1
        if (isSkipped) isSkipped = false
        else if (line.length > 0) yield line.toString('utf8')
      }
      const rest = buffer.subarray(from, bytesRead)
      size += rest.length
      if (isSkipped) continue
      held.push(rest)
      if (size <= LINE_BYTES) continue
      this.tooLong += 1
      isSkipped = true
      held = []
    }
  }
}
