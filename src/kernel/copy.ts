import pg from 'pg'

/** Rows of a COPY in PostgreSQL's text format: what `copyInto` hands to the connection in the place of parameters. */
export class CopiedRows {
  readonly lines: readonly string[]

  constructor(lines: readonly string[]) {
    this.lines = lines
  }
}

/** Lines that go to the connection in one piece. */
const PIECE = 500

/** Runs a COPY on a client with these lines. */
export function copyText(client: pg.ClientBase, text: string, lines: readonly string[]): Promise<void> {
  return submitted(client, text, {
    handleCopyInResponse(connection: CopyTarget) {
      for (let at = 0; at < lines.length; at += PIECE) {
        connection.sendCopyFromChunk(Buffer.from(`${lines.slice(at, at + PIECE).join('\n')}\n`))
      }
      connection.endCopyFrom()
    },
  })
}

/** What the driver gives a query while the server waits for rows. */
export type CopyTarget = {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(why: string): void
}

/** Runs a statement with these handlers: the driver calls those of the query that is under way, and its own ones for COPY do nothing. */
export function submitted(client: pg.ClientBase, text: string, handlers: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null | undefined) => (error ? reject(error) : resolve())
    client.query(Object.assign(new pg.Query(text, [], done), handlers))
  })
}

/** One row. Lists become arrays, bytes `bytea`, other objects `jsonb`; instants are told in UTC. */
export function copyLine(values: readonly unknown[]): string {
  let line = copyField(values[0])
  for (let at = 1; at < values.length; at += 1) line += `\t${copyField(values[at])}`
  return line
}

// PostgreSQL, COPY, "Text Format": what would end a field or a row, and the sign that says so, follow a backslash.
const MEANS_SOMETHING = /[\\\t\n\r]/
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function copyField(value: unknown): string {
  if (typeof value === 'string') return escaped(value)
  if (value === null || value === undefined) return '\\N'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `\\\\x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.length === 0 ? '{}' : escaped(`{${value.map(element).join()}}`)
  return escaped(JSON.stringify(value))
}

/** PostgreSQL, "Array Input": an element in quotes is taken as it is but for quotes and backslashes. */
function element(value: unknown): string {
  return `"${String(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function escaped(text: string): string {
  return MEANS_SOMETHING.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (sign) => ESCAPES[sign] ?? sign) : text
}
