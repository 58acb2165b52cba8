/** A page of a keyset list: ordered by one unique text key, so that rows added or removed meanwhile neither repeat nor hide others. */
export type Page<Row> = { items: Row[]; nextCursor: string | null }

/** Cuts `limit + 1` fetched rows into a page; the extra row only says that there is more. */
export function pageAfter<Row>(rows: Row[], limit: number, keyOf: (row: Row) => string): Page<Row> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  return { items, nextCursor: hasMore ? Buffer.from(keyOf(last), 'utf8').toString('base64url') : null }
}

/** The key a cursor stands for: rows come after it. Without a cursor it is before every key. */
export function keyAfter(cursor: string | undefined): string {
  return cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString('utf8').replaceAll('\0', '')
}
