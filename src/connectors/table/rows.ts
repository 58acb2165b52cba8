import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { jsonItems, ListInvalid } from '../../kernel/json-list.ts'
import { Denied, Unreadable, type Missing } from '../connector.ts'
import { CsvInvalid, csvRecords } from './csv.ts'
import type { TableSourceSettings } from './settings.ts'

export const SHUT: Missing = {
  what: 'the rows of the file',
  why: 'the account of the node may not read it',
  permission: 'reading the file, for the account of the node',
}

/** One row: its value at a column, undefined where it has none. The whole of it for what knows its form. */
export type Row = { readonly at: (column: string) => string | undefined; readonly whole: unknown }
/** `odd`: rows that are none, such as those of another length than the heading. */
export type RowTally = { odd: number; columns: ReadonlySet<string> | undefined }

/** Every row of the file, held one at a time. Throws what may be said aloud. */
export async function* rowsOf(settings: TableSourceSettings, tally: RowTally): AsyncGenerator<Row, void> {
  const file = await opened(settings.path)
  try {
    if (settings.format === 'csv') yield* csvRows(file.createReadStream({ encoding: 'utf8' }), settings, tally)
    else yield* jsonRows(buffers(file.createReadStream()), settings, tally)
  } catch (error) {
    if (error instanceof CsvInvalid) throw new Unreadable(`it is no CSV: ${error.message}`, { cause: error })
    if (error instanceof ListInvalid)
      throw new Unreadable('it is not the list in JSON that it should be', { cause: error })
    throw error
  } finally {
    await file.close()
  }
}

async function opened(path: string) {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'EACCES' || code === 'EPERM') throw new Denied(SHUT, { cause: error })
    throw new Unreadable('the file is not there', { cause: error })
  })
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new Unreadable('it is no file')
}

async function* buffers(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) yield chunk
}

async function* texts(stream: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const chunk of stream) if (typeof chunk === 'string') yield chunk
}

async function* csvRows(
  stream: AsyncIterable<unknown>,
  { separator }: TableSourceSettings,
  tally: RowTally,
): AsyncGenerator<Row, void> {
  let heading: Map<string, number> | undefined
  for await (const record of csvRecords(texts(stream), separator)) {
    const columns = heading
    if (!columns) {
      heading = new Map(record.map((name, at) => [name.trim(), at]))
      if (heading.size !== record.length) throw new CsvInvalid('two columns have one heading')
      tally.columns = new Set(heading.keys())
    } else if (record.length !== columns.size) tally.odd += 1
    else yield { whole: undefined, at: (column) => record[columns.get(column) ?? -1] }
  }
}

async function* jsonRows(
  chunks: AsyncIterable<Buffer>,
  { format, list }: TableSourceSettings,
  tally: RowTally,
): AsyncGenerator<Row, void> {
  // RFC 7644 §3.4.2: what a list of SCIM holds stands under `Resources`.
  for await (const whole of jsonItems(chunks, format === 'scim' ? (list ?? 'Resources') : list)) {
    if (!isObject(whole)) tally.odd += 1
    else yield { whole, at: (column) => plain(column.split('.').reduce<unknown>(inside, whole)) }
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function inside(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

function plain(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}
