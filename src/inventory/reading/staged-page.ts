/**
 * What a scope tells that was never read before. All of it is new, so a page is kept as the text of its rows, and copied into the inventory from
 * there when the scope is closed: kept row by row, each would be written, sorted, looked for and removed once more. When one of them stands
 * already after all, as another scope told it, they become rows beside the inventory like those of any other scope.
 */
import { sql } from 'kysely'
import { copyInto, sqlState, type Tx } from '../../kernel/db.ts'
import { OBJECT_KINDS, OBJECT_TABLES, type ObjectKind } from '../rows.ts'

/** Characters of text that are sorted and copied together, whatever the size of pages. */
const PORTION = 16_000_000
const UNIQUE_VIOLATION = '23505'

/** A scope that was never read tells what stands already, or a thing twice: it has to enter thing by thing. */
export class NotAllNew extends Error {
  override readonly name = 'NotAllNew'
}

/** A scope that enters the inventory now, by which entry. */
export type Merging = {
  readonly readingId: string
  readonly scopeId: string
  readonly now: Date
  readonly cause: number
}
type Part = Pick<Merging, 'readingId' | 'scopeId'>

/** Keeps the rows of a page, as `linesOf` makes them. */
export async function keepPage(
  tx: Tx,
  { readingId, scopeId }: Part,
  place: number,
  rows: ReadonlyMap<ObjectKind, readonly string[]>,
): Promise<void> {
  for (const [kind, lines] of rows) {
    await sql`
      insert into staged_page (reading_id, scope_id, kind, place, things, lines)
      values (${readingId}, ${scopeId}, ${kind}, ${place}, ${lines.length}, ${lines.join('\n')})`.execute(tx)
  }
}

/** Puts rows beside the inventory, one by one: place, id, digest and the columns of the kind. */
export async function stageLines(
  tx: Tx,
  { readingId, scopeId }: Part,
  kind: ObjectKind,
  lines: readonly string[],
): Promise<void> {
  const columns = ['place', 'id', 'digest', ...OBJECT_TABLES[kind].columns, 'reading_id', 'scope_id']
  const same = `\t${readingId}\t${scopeId}`
  await copyInto(
    tx,
    { table: `staged_${kind}`, columns },
    lines.map((line) => line + same),
  )
}

/** Of each kind that has any, how many things the kept pages tell. */
export async function kindsOfPages(tx: Tx, { readingId, scopeId }: Part): Promise<Map<ObjectKind, number>> {
  const { rows } = await sql<{ kind: string; things: number }>`
    select kind, sum(things)::int as things from staged_page
     where reading_id = ${readingId} and scope_id = ${scopeId} group by kind`.execute(tx)
  const things = new Map(rows.map((row) => [row.kind, row.things]))
  return new Map(OBJECT_KINDS.flatMap((kind) => (things.has(kind) ? [[kind, things.get(kind) ?? 0]] : [])))
}

/** Copies the kept pages into the inventory. Throws `NotAllNew` when one of these things stands there already: the transaction is void then. */
export async function enterPages(tx: Tx, merging: Merging, kinds: Iterable<ObjectKind>): Promise<void> {
  try {
    for (const kind of kinds) await enterPagesOf(tx, merging, kind)
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error
    throw new NotAllNew('one of the things stands already', { cause: error })
  }
}

async function enterPagesOf(tx: Tx, { readingId, scopeId, now, cause }: Merging, kind: ObjectKind): Promise<void> {
  const { table, columns: own } = OBJECT_TABLES[kind]
  const columns = ['id', 'digest', ...own, 'scope_id', 'first_seen_at', 'changed_at', 'cause']
  const at = now.toISOString()
  const same = `\t${scopeId}\t${at}\t${at}\t${cause}`
  for await (const lines of portionsOf(tx, { readingId, scopeId }, kind)) {
    // In the order of ids, which the index takes in faster. Behind the place the id is what a line begins with.
    const rows = lines.map((line) => line.slice(line.indexOf('\t') + 1)).sort()
    await copyInto(
      tx,
      { table, columns },
      rows.map((row) => row + same),
    )
  }
}

/** Makes rows beside the inventory of the kept pages. */
export async function spreadPages(tx: Tx, part: Part): Promise<void> {
  for (const kind of (await kindsOfPages(tx, part)).keys()) {
    for await (const lines of portionsOf(tx, part, kind)) await stageLines(tx, part, kind, lines)
  }
}

async function* portionsOf(tx: Tx, { readingId, scopeId }: Part, kind: ObjectKind): AsyncGenerator<string[]> {
  let lines: string[] = []
  let characters = 0
  let behind = -1
  for (;;) {
    const { rows } = await sql<{ place: number; lines: string }>`
      select place, lines from staged_page
       where reading_id = ${readingId} and scope_id = ${scopeId} and kind = ${kind} and place > ${behind}
       order by place limit 1`.execute(tx)
    const [page] = rows
    if (!page) break
    behind = page.place
    characters += page.lines.length
    for (const line of page.lines.split('\n')) lines.push(line)
    if (characters < PORTION) continue
    yield lines
    lines = []
    characters = 0
  }
  if (lines.length > 0) yield lines
}
