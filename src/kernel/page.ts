import { decodeCursor, page } from './http/cursor.ts'

/** A page of a list that is ordered by one unique column, a text or an id. */
export type Page<Row> = { items: Row[]; nextCursor: string | null }

/** Cuts `limit + 1` fetched rows into a page. */
export function pageAfter<Row>(rows: readonly Row[], limit: number, keyOf: (row: Row) => string): Page<Row> {
  return page(rows, limit, (row) => [keyOf(row)])
}

/** The key that rows come after: of the cursor, or the empty one that is before every key. Throws `invalidInput`. */
export function keyAfter(cursor: string | undefined): string {
  return cursor === undefined ? '' : String(decodeCursor(cursor, ['text'])[0])
}

/** The same of a list that is ordered by an id; undefined is before every id. */
export function idAfter(cursor: string | undefined): string | undefined {
  return cursor === undefined ? undefined : String(decodeCursor(cursor, ['id'])[0])
}
