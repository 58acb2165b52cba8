import { sql } from 'kysely'
import { copyLine } from '../../kernel/copy.ts'
import { copyInto, transact, type Db, type Tx } from '../../kernel/db.ts'
import { byteaOf } from './blocks.ts'
import { hashedId } from '../object-id.ts'
import { linesOf, type Lines, type Prepared, type Slice, type Staging, type Thing, type Told } from './prepare.ts'
import { addUp, OBJECT_KINDS, OBJECT_TABLES, windowRow } from '../rows.ts'
import { keepPage, stageLines } from './staged-page.ts'

/** Somebody else took the reading over: whatever this node still reads of it is void. */
export class TakenOver extends Error {
  override readonly name = 'TakenOver'
}

/** Keeps one page beside the inventory, with how far the reading is, in one transaction: a reading that dies goes on behind it. */
export async function stagePage(db: Db, staging: Staging, page: Prepared): Promise<void> {
  const isKept = await keepAsBefore(db, staging, page)
  if (isKept) return
  await transact(db, async (tx) => {
    const sum = { refused: 0, fromFuture: 0 }
    for (const slice of page.slices) {
      sum.refused += slice.refused + (await stageBlocks(tx, staging, slice))
      sum.fromFuture += slice.fromFuture
      await insertUses(tx, staging, slice)
    }
    const { numUpdatedRows } = await tx
      .updateTable('readingProgress')
      .set((is) => ({
        scope: staging.scope,
        cursor: page.cursor ?? sql<string | null>`case when scope = ${staging.scope} then ${is.ref('cursor')} end`,
        pages: page.number,
        refused: sql<number>`case when scope = ${staging.scope} then refused else 0 end + ${sum.refused}`,
        fromFuture: sql<number>`case when scope = ${staging.scope} then from_future else 0 end + ${sum.fromFuture}`,
        beatAt: staging.now,
      }))
      .where('readingId', '=', staging.readingId)
      .where('holderId', '=', staging.holderId)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) throw new TakenOver('another node went on with this reading')
  })
}

/**
 * A page of which everything stands just so, as nearly all do: what was told and how far the reading is in one statement, which is a third of the work
 * and a fifth of the waiting. False for any other page, of which nothing is kept.
 */
async function keepAsBefore(db: Db, { readingId, holderId, scope, scopeId, now }: Staging, page: Prepared) {
  const [slice] = page.slices
  const [run] = slice?.known ?? []
  if (
    !slice ||
    !run ||
    page.slices.length > 1 ||
    slice.refused + slice.others.length + slice.uses.length + slice.windows.length > 0
  )
    return false
  const { rows } = await sql`
    with held as (
      update reading_progress
         set scope = ${scope}, cursor = coalesce(${page.cursor ?? null}, case when scope = ${scope} then cursor end), pages = ${page.number},
             refused = case when scope = ${scope} then refused else 0 end, from_future = case when scope = ${scope} then from_future else 0 end,
             beat_at = ${now}
       where reading_id = ${readingId} and holder_id = ${holderId}
      returning reading_id)
    insert into inventory_told (reading_id, scope_id, place, known, blocks, things)
    select reading_id, ${scopeId}::uuid, ${run.at}::bigint, ${run.numbers}::int8multirange, ${run.blocks}::integer, ${run.things}::integer from held
    returning place`.execute(db)
  if (rows.length !== 1) throw new TakenOver('another node went on with this reading')
  return true
}

const TOLD = {
  table: 'inventory_told',
  columns: ['reading_id', 'scope_id', 'place', 'digest', 'ids', 'known', 'blocks', 'things'],
}

/** Of blocks that were told before nothing is looked at; of the others what is new or told differently is kept. How many were refused. */
async function stageBlocks(tx: Tx, staging: Staging, { known, others, kept, place }: Slice): Promise<number> {
  const { readingId, scopeId } = staging
  const { rows, refused } = kept ?? (await newsOf(tx, staging, others))
  const told = known.map((run) =>
    copyLine([readingId, scopeId, run.at, null, null, run.numbers, run.blocks, run.things]),
  )
  for (const { block, things } of others) {
    const of = refused.size === 0 ? things : things.filter((thing) => !refused.has(thing))
    if (of.length === 0) continue
    const ids = `{${of.map(({ id }) => id).join()}}`
    told.push(copyLine([readingId, scopeId, block.at, byteaOf(block.digest), ids, null, 1, of.length]))
  }
  if (kept) await keepPage(tx, staging, place, rows)
  else for (const [kind, lines] of rows) await stageLines(tx, staging, kind, lines)
  await copyInto(tx, TOLD, told)
  return refused.size
}

/** Of what is told otherwise than in the last complete reading, what is kept anew. */
async function newsOf(tx: Tx, { scopeId, authority }: Staging, others: readonly Told[]): Promise<Lines> {
  const changed = await changedOf(
    tx,
    scopeId,
    others.flatMap(({ things }) => things),
  )
  return linesOf(authority, others, ({ id }) => changed.has(id))
}

/**
 * Of these, what does not stand in the inventory just so: new, told differently, or missed before. Looked up one by one in the index: a plan made
 * while the table was small would read all of it for every page.
 */
async function changedOf(tx: Tx, scopeId: string, things: readonly Thing[]): Promise<Set<string>> {
  const changed = new Set<string>()
  for (const kind of OBJECT_KINDS) {
    const ofKind = things.filter(({ told }) => told.kind === kind)
    if (ofKind.length === 0) continue
    // Literals of arrays: the driver takes several times as long over lists.
    const ids = `{${ofKind.map(({ id }) => id).join()}}`
    const digests = `{${ofKind.map(({ digest }) => `"\\${digest}"`).join()}}`
    const { rows } = await sql<{ id: string }>`
      select t.id
        from unnest(${ids}::uuid[], ${digests}::bytea[]) t (id, digest)
        left join lateral (
               select true as stands from ${sql.table(OBJECT_TABLES[kind].table)} o
                where o.id = t.id and o.scope_id = ${scopeId} and o.digest = t.digest and o.missed_at is null
                limit 1) o on true
       where o.stands is null`.execute(tx)
    for (const { id } of rows) changed.add(id)
  }
  return changed
}

async function insertUses(tx: Tx, staging: Staging, { uses, windows, place }: Slice): Promise<void> {
  if (uses.length + windows.length === 0) return
  const { readingId, scope, scopeId, authority, now } = staging
  const rows = [
    ...addUp(uses, scopeId, authority, now).map((content) => ({
      objectId: hashedId([scope, `${place}`, content.id]),
      kind: 'usage',
      content: JSON.stringify(content),
    })),
    ...windows.map((window, at) => ({
      objectId: hashedId([scope, `${place}`, `window ${at}`]),
      kind: 'usage-window',
      content: JSON.stringify(windowRow(window, scopeId, authority, now)),
    })),
  ]
  await copyInto(
    tx,
    { table: 'inventory_stage', columns: ['reading_id', 'scope_id', 'object_id', 'kind', 'content'] },
    rows.map(({ objectId: id, kind, content }) => copyLine([readingId, scopeId, id, kind, content])),
  )
}
