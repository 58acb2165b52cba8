import { z } from 'zod'

/** One record of the server log: who did what, by their names there. */
export type LogRecord = {
  /** Local time of the server, `YYYY-MM-DD HH:MM:SS.mmm`. */
  readonly at: string
  readonly user: string
  readonly database: string
  readonly address: string | undefined
  readonly agent: string | undefined
  readonly message: string
}

/** A record that is longer is passed over: a statement of a megabyte says no more of who did it. */
export const RECORD_MAX_BYTES = 1_000_000

/** Cuts a stream of bytes into records. A line feed within quotes is part of a csvlog record; a jsonlog record is a line. */
export class Records {
  readonly #isCsv: boolean
  #kept: Buffer[] = []
  #size = 0
  #isQuoted = false
  /** Bytes of whole records given so far. */
  taken = 0
  /** Records that were longer than the bound. */
  tooLong = 0

  constructor(format: 'csvlog' | 'jsonlog') {
    this.#isCsv = format === 'csvlog'
  }

  *add(bytes: Buffer): Generator<string, void> {
    let from = 0
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at]
      if (this.#isCsv && byte === 0x22) this.#isQuoted = !this.#isQuoted
      if (byte !== 0x0a) continue
      // A record that was torn, by a full disk or a crash, leaves a quote open: beyond the bound a line ends whatever was quoted.
      if (this.#isQuoted && this.#size + at - from < RECORD_MAX_BYTES) continue
      this.#isQuoted = false
      const record = this.#close(bytes.subarray(from, at + 1))
      from = at + 1
      if (record !== undefined) yield record
    }
    this.#keep(bytes.subarray(from))
  }

  #keep(bytes: Buffer): void {
    this.#size += bytes.length
    // What is too long is counted and let go; its end is still looked for.
    if (this.#size > RECORD_MAX_BYTES) this.#kept = []
    else if (bytes.length > 0) this.#kept.push(Buffer.from(bytes))
  }

  #close(rest: Buffer): string | undefined {
    this.#keep(rest)
    const size = this.#size
    const text = size > RECORD_MAX_BYTES ? undefined : Buffer.concat(this.#kept).toString('utf8')
    if (text === undefined) this.tooLong += 1
    this.#kept = []
    this.#size = 0
    this.taken += size
    return text
  }
}

// PostgreSQL, 20.8.4 Using CSV-Format Log Output: the columns in their order.
const CSV = { at: 0, user: 1, database: 2, from: 4, message: 13, agent: 22 } as const
// 20.8.5 Using JSON-Format Log Output.
const JsonLine = z.object({
  timestamp: z.string(),
  user: z.string().optional(),
  dbname: z.string().optional(),
  remote_host: z.string().optional(),
  application_name: z.string().optional(),
  message: z.string().optional(),
})

const TIME = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)(?: |$)/

/** A record that names a user, `own` for the server's, and undefined for what is no record of this format. */
export function parseRecord(text: string, format: 'csvlog' | 'jsonlog'): LogRecord | 'own' | undefined {
  return format === 'csvlog' ? fromCsv(text) : fromJson(text)
}

function fromCsv(text: string): LogRecord | 'own' | undefined {
  const fields = csvFields(text)
  if (fields.length <= CSV.message) return undefined
  const address = (fields[CSV.from] ?? '').replace(/:\d+$/, '')
  return recordOf(fields[CSV.at], fields[CSV.user], fields[CSV.database], {
    address,
    agent: fields[CSV.agent],
    message: fields[CSV.message],
  })
}

function fromJson(text: string): LogRecord | 'own' | undefined {
  const parsed = z
    .string()
    .transform((line, context) => jsonOf(line, context))
    .pipe(JsonLine)
    .safeParse(text)
  if (!parsed.success) return undefined
  const { timestamp, user, dbname, remote_host: address, application_name: agent, message } = parsed.data
  return recordOf(timestamp, user, dbname, { address, agent, message })
}

function jsonOf(line: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(line)
  } catch {
    context.addIssue({ code: 'custom', message: 'not JSON' })
    return z.NEVER
  }
}

type Rest = {
  readonly address: string | undefined
  readonly agent: string | undefined
  readonly message: string | undefined
}

function recordOf(
  time: string | undefined,
  user: string | undefined,
  database: string | undefined,
  rest: Rest,
): LogRecord | 'own' | undefined {
  const at = TIME.exec(time ?? '')?.[1]
  if (at === undefined) return undefined
  if (!user || !database || !rest.message) return 'own'
  return {
    at,
    user,
    database,
    address: rest.address || undefined,
    agent: rest.agent || undefined,
    message: rest.message,
  }
}

/** RFC 4180 §2: fields between commas, quoted ones with doubled quotes. */
export function csvFields(text: string): string[] {
  const fields: string[] = []
  let at = 0
  for (;;) {
    let field = ''
    if (text[at] === '"') {
      at += 1
      for (;;) {
        const end = text.indexOf('"', at)
        if (end < 0) return fields
        field += text.slice(at, end)
        at = end + 1
        if (text[at] !== '"') break
        field += '"'
        at += 1
      }
    }
    const comma = text.indexOf(',', at)
    const stop = comma < 0 ? text.length : comma
    field += text.slice(at, stop)
    fields.push(comma < 0 ? field.replace(/\r?\n$/, '') : field)
    if (comma < 0) return fields
    at = comma + 1
  }
}

/** What a message says that somebody did. */
export type Deed = { readonly semantics: 'auth' | 'statement'; readonly privilege?: string }

/** A login, or a statement that pgaudit entered (`AUDIT: <type>,<id>,<sub>,<class>,<command>,…`); its text is not looked at. */
export function deedOf(message: string): Deed | undefined {
  if (message.startsWith('connection authorized: ')) return { semantics: 'auth' }
  const audited = /^AUDIT: (?:SESSION|OBJECT),\d+,\d+,([A-Z_]{1,20}),([A-Z ]{1,60}),/.exec(message)
  return audited ? { semantics: 'statement', privilege: audited[2] ?? '' } : undefined
}
