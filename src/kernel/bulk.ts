import pg from 'pg'
import { submitted, type CopyTarget } from './copy.ts'
import { clientConfig, type Connection } from './db.ts'

/** PostgreSQL, COPY: the signature, four bytes of flags and the length of what follows them. */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const HEADER_BYTES = SIGNATURE.length + 8
const HEADER = Buffer.concat([SIGNATURE, Buffer.alloc(8)])
const TRAILER = Buffer.from([0xff, 0xff])

/** A connection of its own for rows by the million. Values of no query pass through JavaScript objects. */
export type BulkSession = AsyncDisposable & {
  /** Runs statements without parameters; gives how many rows the last one touched. */
  readonly run: (text: string) => Promise<number>
  /** Gives each row of `query` in the binary format, from behind its number of fields; the bytes are only valid during the call. */
  readonly copyOut: (query: string, onRow: (bytes: Buffer) => void, signal: AbortSignal) => Promise<void>
  /** Adds rows to `table`; each chunk holds whole rows in the binary format, with their number of fields. */
  readonly copyIn: (table: string, chunks: Iterable<Buffer>) => Promise<void>
}

export async function openBulk(connection: Connection): Promise<BulkSession> {
  const client = new pg.Client(clientConfig(connection))
  // What breaks is told by the statement that was under way.
  client.on('error', () => undefined)
  await client.connect()
  return {
    async run(text) {
      const answers: unknown = await client.query(text)
      const last: unknown = Array.isArray(answers) ? answers.at(-1) : answers
      return typeof last === 'object' && last !== null && 'rowCount' in last ? Number(last.rowCount ?? 0) : 0
    },
    copyOut: (query, onRow, signal) => copyOut(client, `copy (${query}) to stdout (format binary)`, onRow, signal),
    copyIn: (table, chunks) => copyIn(client, `copy ${table} from stdin (format binary)`, chunks),
    [Symbol.asyncDispose]: () => client.end(),
  }
}

type CopyData = { readonly chunk: Buffer }

function copyOut(client: pg.Client, text: string, onRow: (bytes: Buffer) => void, signal: AbortSignal): Promise<void> {
  let isFirst = true
  let failure: unknown
  return submitted(client, text, {
    handleCopyData({ chunk }: CopyData) {
      if (failure !== undefined) return
      try {
        signal.throwIfAborted()
        const row = isFirst ? chunk.subarray(HEADER_BYTES) : chunk
        isFirst = false
        if (row.length > 2) onRow(row.subarray(2))
      } catch (error) {
        failure = error
      }
    },
  }).then(() => {
    if (failure !== undefined) throw failure
  })
}

function copyIn(client: pg.Client, text: string, chunks: Iterable<Buffer>): Promise<void> {
  return submitted(client, text, {
    handleCopyInResponse(connection: CopyTarget) {
      try {
        connection.sendCopyFromChunk(HEADER)
        for (const chunk of chunks) connection.sendCopyFromChunk(chunk)
        connection.sendCopyFromChunk(TRAILER)
        connection.endCopyFrom()
      } catch {
        connection.sendCopyFail('the rows could not be made')
      }
    },
  })
}
