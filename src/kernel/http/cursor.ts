import { sql, type Expression, type SqlBool } from 'kysely'
import { z } from 'zod'
import { invalidInput } from '../problem.ts'
import { isStorable } from './strict-json.ts'

/** What a list is ordered by, as values of its last row; the last value must make the order total (an id). */
export type CursorValue = string | number | Date

const Parts = z
  .array(z.union([z.string().max(120).refine(isStorable), z.int(), z.strictObject({ at: z.iso.datetime() })]))
  .min(1)
  .max(4)

/** An opaque place in a list. It holds no secret and is not signed: who can read the list may begin anywhere in it. */
export function encodeCursor(values: readonly CursorValue[]): string {
  const parts = values.map((value) => (value instanceof Date ? { at: value.toISOString() } : value))
  return Buffer.from(JSON.stringify(parts), 'utf8').toString('base64url')
}

/** An `id` is a text that the database takes for one: any other breaks the query it comes into. */
type Kind = 'text' | 'number' | 'instant' | 'id'

/** Reads a cursor of this list: values of these kinds in this order. Throws `invalidInput` for anything else. */
export function decodeCursor(cursor: string, kinds: readonly Kind[]): CursorValue[] {
  const parts = Parts.safeParse(parsedJson(cursor))
  const values = (parts.data ?? []).map((part) => (typeof part === 'object' ? new Date(part.at) : part))
  const isOfThisList = values.length === kinds.length && kinds.every((kind, at) => isOf(kind, values[at]))
  if (!isOfThisList) {
    throw invalidInput('The cursor is not one of this list; start without one.', {
      issues: [{ path: 'cursor', message: 'not a cursor of this list' }],
    })
  }
  return values
}

/** `(a, b) > (x, y)`: the rows behind a cursor, for an ascending order by the same columns; `'<'` for a descending one. */
export function beyond(
  columns: readonly string[],
  values: readonly CursorValue[],
  order: '>' | '<' = '>',
): Expression<SqlBool> {
  const left = sql.join(columns.map((column) => sql.ref(column)))
  return sql<SqlBool>`(${left}) ${sql.raw(order)} (${sql.join(values)})`
}

/** A page from `limit + 1` rows: the extra one only says that there are more. */
export function page<Row>(
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => readonly CursorValue[],
): { items: Row[]; nextCursor: string | null } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null }
}

function parsedJson(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

function isOf(kind: Kind, value: CursorValue | undefined): boolean {
  if (kind === 'id') return z.uuid().safeParse(value).success
  if (kind === 'instant') return value instanceof Date
  return typeof value === (kind === 'text' ? 'string' : 'number')
}
