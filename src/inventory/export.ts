import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { isInstant } from '../kernel/instant.ts'
import { coverageOf } from './coverage.ts'
import { itemsOf } from './lists.ts'
import type { ObjectKind } from './rows.ts'
import type { Coverage, ExportQuery, InventoryItem } from './schemas.ts'
import { loadSource } from './sources/source-records.ts'

const PAGE = 1_000
/** What one answer holds; more is asked for by source. */
const ROWS_MAX = 100_000

const COLUMNS = [
  'kind',
  'source',
  'scope',
  'nativeKind',
  'nativeId',
  'name',
  'presence',
  'firstSeenAt',
  'lastSeenAt',
  'fields',
  'unknown',
  'id',
] as const

/** All of one kind, behind a statement of what could not be seen: nobody who has the file can miss it. */
export async function exportInventory(db: Db, clock: Clock, kind: ObjectKind, query: ExportQuery): Promise<string> {
  const { format, ...filters } = query
  const source = query.source === undefined ? undefined : await loadSource(db, query.source)
  const coverage = await coverageOf(db, clock, source?.id)
  const lines = format === 'csv' ? csvHead(coverage) : [JSON.stringify({ coverage })]
  let after: string | undefined
  let isCut = false
  for (let rows = 0; ;) {
    const items = await itemsOf(db, kind, filters, { after, limit: PAGE })
    for (const item of items)
      lines.push(format === 'csv' ? csvLine(COLUMNS.map((column) => cellOf(item, column))) : JSON.stringify(item))
    rows += items.length
    after = items.at(-1)?.id
    if (items.length < PAGE) break
    isCut = rows >= ROWS_MAX
    if (isCut) break
  }
  if (isCut)
    lines.push(
      format === 'csv'
        ? csvLine([`# cut after ${ROWS_MAX} rows; ask by source`])
        : JSON.stringify({ cutAfter: ROWS_MAX }),
    )
  return `${lines.join(format === 'csv' ? '\r\n' : '\n')}${format === 'csv' ? '\r\n' : '\n'}`
}

function csvHead(coverage: Coverage): string[] {
  return [...csvCoverage(coverage), csvLine([...COLUMNS])]
}

/** The lines in front of any table: whoever has the file cannot miss what is not in it. */
export function csvCoverage({ isWhole, unseen, more }: Coverage): string[] {
  const said = unseen.map(({ source, scope, status, what, why, permission }) =>
    csvLine([
      `# not seen: ${source} ${scope ?? ''} ${status}: ${what}: ${why}${permission === undefined ? '' : ` (${permission})`}`,
    ]),
  )
  const first = csvLine([isWhole ? '# every scope of every source was seen whole' : '# what follows is not everything'])
  return [first, ...said, ...(more > 0 ? [csvLine([`# not seen: ${more} more`])] : [])]
}

function cellOf(item: InventoryItem, column: (typeof COLUMNS)[number]): string {
  const value = item[column]
  if (value === null) return ''
  if (typeof value === 'string') return value
  return isInstant(value) ? value.toISOString() : JSON.stringify(value)
}

/**
 * RFC 4180 §2. A cell that a spreadsheet would take for a formula begins with an apostrophe: whoever names a role can otherwise make the reader's
 * machine do something.
 */
export function csvLine(cells: readonly string[]): string {
  return cells.map((cell) => `"${(/^[=+\-@\t\r\n|%]/.test(cell) ? `'${cell}` : cell).replaceAll('"', '""')}"`).join(',')
}
