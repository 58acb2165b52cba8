import { z } from 'zod'
import {
  LogLines,
  openLog,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantOf, type Bao } from './api.ts'
import { entityOf } from './identity.ts'
import { policyOf } from './policies.ts'
import { storedSecret } from './secrets.ts'

const PAGE_ENTRIES = 1_000
/** Pairs of who and what that are told once in a reading; beyond them they are told again, which is the same. */
const TOLD_MAX = 200_000

export const AUDIT_MISSING: Missing = {
  what: 'who used what',
  why: 'no audit log was named',
  permission: 'settings.auditLog with a file of an audit device that the node can read',
}

/** What of an audit entry says who did what. Bodies, tokens and accessors (hashed there with a salt of the server) are in none of these. */
const Entry = z.object({
  time: z.string(),
  type: z.string(),
  auth: z
    .object({
      entity_id: z.string().nullish(),
      display_name: z.string().nullish(),
      token_policies: z.array(z.string()).nullish(),
    })
    .nullish(),
  request: z.object({
    operation: z.string().nullish(),
    path: z.string().nullish(),
    mount_point: z.string().nullish(),
    mount_type: z.string().nullish(),
    mount_accessor: z.string().nullish(),
    remote_address: z.string().nullish(),
    namespace: z.object({ path: z.string().nullish() }).nullish(),
  }),
  error: z.string().nullish(),
})
type Entry = z.output<typeof Entry>

type Place = { readonly file: string; readonly offset: number; readonly until: string }

function placeOf(cursor: string | undefined): Place | undefined {
  const parts = /^(\d+):(\d+):(.*)$/.exec(cursor ?? '')
  return parts ? { file: parts[1] ?? '', offset: Number(parts[2]), until: parts[3] ?? '' } : undefined
}

/** Reads the log on from where the last reading ended: uses by entity and day, and who read which secret. */
export async function* readAudit(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const { auditLog, auditSeesAll } = bao.settings
  if (auditLog === undefined) return { status: 'unsupported', missing: [AUDIT_MISSING] }
  await using file = await openLog(auditLog)
  const { ino, size } = await file.stat()
  const before = placeOf(since.cursor)
  const goesOn = before?.file === String(ino) && before.offset <= size
  const lines = new LogLines(goesOn ? before.offset : 0)
  const told = new Set<string>()
  let until = goesOn ? before.until : ''
  let unread = 0
  let entries: Entry[] = []
  const page = (): Page => {
    const observations = entries.flatMap((entry) => tellEntry(entry, told))
    const times = entries.flatMap(({ time }) => (instantOf(time) ? [time] : [])).sort()
    const [from, to] = [instantOf(until === '' ? times[0] : until), instantOf(times.at(-1))]
    if (from && to && from <= to)
      observations.push({
        kind: 'usage-window',
        semantics: 'api-call',
        sees: auditSeesAll ? 'every-use' : 'samples',
        from,
        to,
      })
    if (to && !(from && from > to)) until = times.at(-1) ?? until
    entries = []
    return { observations, cursor: `${ino}:${lines.taken}:${until}` }
  }
  for await (const line of lines.of(file, signal)) {
    const entry = entryOf(line)
    if (entry) entries.push(entry)
    else unread += 1
    if (entries.length >= PAGE_ENTRIES) yield page()
  }
  yield page()
  const missing: Missing[] = []
  if (before && !goesOn)
    missing.push({ what: 'what was logged between two files', why: 'the log was rotated since the last reading' })
  if (unread > 0) missing.push({ what: `${unread} lines`, why: 'they are no audit entries' })
  if (lines.tooLong > 0) missing.push({ what: `${lines.tooLong} lines`, why: 'they are longer than any audit entry' })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function entryOf(line: string): Entry | undefined {
  try {
    return Entry.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

/** A request is logged before and after; it counts once, after. One without a login proves no use of anything. */
function tellEntry(entry: Entry, told: Set<string>): Observation[] {
  const at = instantOf(entry.time)
  const subject = whoOf(entry)
  const { request } = entry
  if (!at || !subject || entry.type !== 'response' || request.namespace?.path) return []
  const operation = request.operation ?? 'read'
  const path = request.path ?? ''
  const isRefused = typeof entry.error === 'string' && entry.error !== ''
  const use: Observation = {
    kind: 'usage',
    subject,
    semantics: 'api-call',
    at,
    count: 1,
    // What was refused was tried, and no right was used.
    ...(!isRefused && { privilege: `${operation} ${path}`, on: { kind: 'path', id: path === '' ? '/' : path } }),
    from: typeof request.remote_address === 'string' ? { address: request.remote_address } : {},
    actor: unknown('unsupported'),
  }
  const secret = isRefused || operation !== 'read' ? undefined : secretOf(entry)
  if (!secret) return [use]
  const id = `${subject.kind}/${subject.id}/${secret.id}`
  if (told.has(id)) return [use]
  if (told.size < TOLD_MAX) told.add(id)
  const reference: Observation = {
    kind: 'reference',
    id: { kind: 'vault-read', id },
    consumer: subject,
    credential: secret,
    how: 'vault-read',
    location: path,
    evidence: 'runtime',
  }
  return [use, reference]
}

/** An entity is named in clear. Tokens without one have only the name that they show, which others may show as well. */
function whoOf({ auth }: Entry): NativeId | undefined {
  if (!auth) return undefined
  if (auth.entity_id) return entityOf(auth.entity_id)
  if ((auth.token_policies ?? []).includes('root')) return policyOf('root')
  return auth.display_name ? { kind: 'token-name', id: auth.display_name } : undefined
}

function secretOf({ request }: Entry): NativeId | undefined {
  const { mount_accessor: accessor, mount_point: mount, mount_type: type, path } = request
  if (!accessor || !mount || !path?.startsWith(mount)) return undefined
  const inner = path.slice(mount.length)
  if (type === 'kv' || type === 'generic') {
    if (/^(?:metadata|config|subkeys)(?:\/|$)/.test(inner)) return undefined
    const name = inner.replace(/^data\//, '')
    return name === '' ? undefined : storedSecret(accessor, name)
  }
  // Dynamic secrets are made by being read; other engines read their own settings too.
  return /^(?:creds|static-creds)\//.test(inner) ? storedSecret(accessor, inner) : undefined
}
