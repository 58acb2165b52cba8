import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { Instant } from '../../kernel/instant.ts'
import {
  unknown,
  Unreadable,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { deedOf, parseRecord, Records, type Deed, type LogRecord } from './log-records.ts'
import { codeOf, database, role, type Session } from './session.ts'

const CHUNK_BYTES = 256 * 1024
/** Uses of one page; it ends where a record ends. */
const PAGE_USES = 2_000

type Place = { readonly file: string; readonly offset: number; readonly until: string }
type Use = { readonly record: LogRecord; readonly deed: Deed }

/** Reads the log on from where the last reading ended. A log that was changed for another is read from its beginning, and the gap stays one. */
export async function* readLog(session: Session, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const { log } = session.settings
  if (!log) {
    const missing = {
      what: 'logins and audited statements',
      why: 'no log file was given',
      permission: 'settings.log with a file this node can read',
    }
    return { status: 'unsupported', missing: [missing] }
  }
  await using file = await openLog(log.path)
  const { ino, size } = await file.stat()
  const before = placeOf(since.cursor)
  const goesOn = before?.file === String(ino) && before.offset <= size
  const teller = await tellerOf(session)
  const records = new Records(log.format)
  const start = goesOn ? before.offset : 0
  let until = goesOn ? before.until : ''
  let uses: Use[] = []
  let strange = 0
  const page = (): Page => {
    const observations = teller.tell(uses, until)
    until = uses.at(-1)?.record.at ?? until
    uses = []
    return { observations, cursor: `${ino}:${start + records.taken}:${until}` }
  }
  for await (const bytes of chunks(file, start, signal)) {
    for (const text of records.add(bytes)) {
      const record = parseRecord(text, log.format)
      if (!record) strange += 1
      if (!record || record === 'own') continue
      const deed = deedOf(record.message)
      if (deed) uses.push({ record, deed })
      if (uses.length >= PAGE_USES) yield page()
    }
  }
  if (start + records.taken > start) yield page()
  const missing = [...teller.missing]
  if (before && !goesOn)
    missing.push({ what: 'what was logged between two files', why: 'the log was rotated since the last reading' })
  if (records.tooLong > 0) missing.push({ what: `${records.tooLong} records`, why: 'they are longer than a megabyte' })
  if (strange > 0)
    missing.push({ what: `${strange} records`, why: `they are not as the server writes its ${log.format}` })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing: [...missing, ...teller.dark] }
}

function placeOf(cursor: string | undefined): Place | undefined {
  const [file, offset, ...until] = cursor?.split(':') ?? []
  return file !== undefined && offset !== undefined
    ? { file, offset: Number(offset), until: until.join(':') }
    : undefined
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    // A link could point anywhere by the time it is read, a device or a pipe would never end.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    throw new Unreadable(`the log file cannot be read (${codeOf(error)})`, { cause: error })
  }
  throw new Unreadable('the log is not a file')
}

async function* chunks(file: FileHandle, start: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  for (let at = start; ;) {
    signal.throwIfAborted()
    const buffer = Buffer.alloc(CHUNK_BYTES)
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

type Teller = {
  readonly tell: (uses: readonly Use[], until: string) => Observation[]
  readonly missing: readonly Missing[]
  /** What such a log never shows as the server is set up. */
  readonly dark: readonly Missing[]
}

/** `on`, or from PostgreSQL 18 on a list of the steps of a login that are logged. */
function logsLogins(connections: string): boolean {
  return connections.split(/[\s,]+/).some((word) => /^(on|true|yes|1|all|authorization)$/i.test(word))
}

/** Who is meant by the names in the log, and what the log would have shown. */
async function tellerOf(session: Session): Promise<Teller> {
  const [settings] = await session.query<{ zone: string; connections: string; audits: boolean }>(
    `select current_setting('log_timezone') as zone, current_setting('log_connections') as connections,
            current_setting('pgaudit.log', true) is not null as audits`,
  )
  const roles = await idsOf(session, 'select rolname::text as name, oid as oid from pg_roles')
  const databases = await idsOf(session, 'select datname::text as name, oid as oid from pg_database')
  const isOurs = await session.given.ours()
  const isUtc = /^(Etc\/)?(UTC|GMT|UCT|Zulu|Universal)$/i.test(settings?.zone ?? '')
  const seesLogins = logsLogins(settings?.connections ?? '')
  const missing: Missing[] = []
  if (!seesLogins)
    missing.push({ what: 'logins', why: 'the server does not log them', permission: 'log_connections = on' })
  if (!isUtc)
    missing.push({
      what: 'all records',
      why: 'the log is not written in UTC, and its local times say two things twice a year',
      permission: 'log_timezone = UTC',
    })
  const tell: Teller['tell'] = (uses, until) => {
    if (!isUtc) return []
    const told = uses.filter(({ record }) => !isOurs.has(record.user)).flatMap((use) => useOf(use, roles, databases))
    const from = instant(until === '' ? uses[0]?.record.at : until)
    const to = instant(uses.at(-1)?.record.at)
    if (!seesLogins || !from || !to || to < from) return told
    return [...told, { kind: 'usage-window', semantics: 'auth', sees: 'every-use', from, to }]
  }
  const dark = settings?.audits
    ? []
    : [
        {
          what: 'audited statements',
          why: 'the server does not audit them',
          permission: 'pgaudit, loaded and with pgaudit.log',
        },
      ]
  return { tell, missing, dark }
}

async function idsOf(session: Session, sql: string): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query<{ name: string; oid: number }>(sql)
  return new Map(rows.map(({ name, oid }) => [name, oid]))
}

function instant(at: string | undefined): Date | undefined {
  return at === undefined ? undefined : Instant.safeDecode(`${at.replace(' ', 'T')}Z`).data
}

function useOf(
  { record, deed }: Use,
  roles: ReadonlyMap<string, number>,
  databases: ReadonlyMap<string, number>,
): Observation[] {
  const at = instant(record.at)
  if (!at) return []
  const oid = roles.get(record.user)
  // A role that is not there any more was used all the same.
  const subject: NativeId = oid === undefined ? { kind: 'role-name', id: record.user } : role(oid)
  const databaseOid = databases.get(record.database)
  return [
    {
      kind: 'usage',
      subject,
      semantics: deed.semantics,
      ...(deed.privilege !== undefined && { privilege: deed.privilege }),
      at,
      count: 1,
      ...(databaseOid !== undefined && { on: database(databaseOid) }),
      from: {
        ...(record.address !== undefined && { address: record.address }),
        ...(record.agent !== undefined && { agent: record.agent }),
      },
      actor: unknown('unsupported'),
    },
  ]
}
