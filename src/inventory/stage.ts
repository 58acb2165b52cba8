import { sql } from 'kysely'
import { Observation, type Kept, type Page } from '../connectors/connector.ts'
import { sha256 } from '../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { hashedId, objectId } from './object-id.ts'
import { addUp, OBJECT_KINDS, OBJECT_TABLES, rowOf, windowRow } from './rows.ts'
import type { KeptObject, KeptUsage, KeptWindow, ObjectKind } from './rows.ts'

/** Changed when what is kept of an observation changes, so that everything is then kept anew. */
const DIGEST_OF = 'kept:1'
const DIGEST_BYTES = 16
/** Observations of one statement; a page that is larger is taken in slices. */
const SLICE = 2_000

export type Staging = {
  readonly readingId: string
  readonly holderId: string
  readonly scope: string
  readonly scopeId: string
  readonly authority: string
  readonly now: Date
}
/** `fresh`: things that this reading had not told yet. `refused`: observations that broke the contract and were not kept. */
export type Staged = {
  readonly told: number
  readonly fresh: number
  readonly refused: number
  readonly fromFuture: number
}

/** Somebody else took the reading over: whatever this node still reads of it is void. */
export class TakenOver extends Error {
  override readonly name = 'TakenOver'
}

type Digested = { readonly id: string; readonly digest: string; readonly told: Observation & { kind: ObjectKind } }
type Place = { readonly name: string; readonly hasCursor: boolean }
type Row = { readonly id: string; readonly kind: string; readonly digest: string; readonly content: object }

/** Keeps one page beside the inventory, with how far the reading is, in one transaction: a reading that dies goes on behind it. */
export async function stagePage(db: Db, staging: Staging, page: Page, pageNumber: number): Promise<Staged> {
  return transact(db, async (tx) => {
    const sum = { told: page.observations.length, fresh: 0, refused: 0, fromFuture: 0 }
    for (let at = 0; at < page.observations.length; at += SLICE) {
      const slice = page.observations.slice(at, at + SLICE)
      const place = { name: `${pageNumber}:${at}`, hasCursor: page.cursor !== undefined }
      const staged = await stageSlice(tx, staging, slice, place)
      sum.fresh += staged.fresh
      sum.refused += staged.refused
      sum.fromFuture += staged.fromFuture
    }
    const { numUpdatedRows } = await tx
      .updateTable('readingProgress')
      .set((is) => ({
        scope: staging.scope,
        cursor: page.cursor ?? is.ref('cursor'),
        pages: pageNumber,
        items: is('items', '+', sum.fresh),
        beatAt: staging.now,
      }))
      .where('readingId', '=', staging.readingId)
      .where('holderId', '=', staging.holderId)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) throw new TakenOver('another node went on with this reading')
    return sum
  })
}

async function stageSlice(tx: Tx, staging: Staging, told: readonly Observation[], place: Place) {
  const objects: Digested[] = []
  const uses: KeptUsage[] = []
  const windows: KeptWindow[] = []
  let refused = 0
  let fromFuture = 0
  for (const observation of told) {
    if (isObject(observation)) {
      const digested = digestedOf(observation, staging.authority)
      if (digested) objects.push(digested)
      else refused += 1
      continue
    }
    const kept = keptOf(observation)
    // A page without a cursor may come again, and would count again.
    if (kept?.kind === 'usage' && (kept.count === undefined || place.hasCursor)) {
      uses.push(kept)
      if (kept.at > staging.now) fromFuture += 1
    } else if (kept?.kind === 'usage-window') windows.push(kept)
    else refused += 1
  }
  const rows: Row[] = []
  const unchanged: string[] = []
  const changed = await changedOf(tx, staging.scopeId, objects)
  for (const { id, digest, told: object } of objects) {
    if (!changed.has(id)) unchanged.push(id)
    else {
      const kept = keptOf(object)
      if (kept && isKeptObject(kept))
        rows.push({ id, kind: kept.kind, digest, content: rowOf(kept, staging.authority) })
      else refused += 1
    }
  }
  rows.push(...addedUp(staging, uses, windows, place.name))
  const fresh = (await insertRows(tx, staging.readingId, rows)) + (await insertTold(tx, staging.readingId, unchanged))
  return { fresh, refused, fromFuture }
}

function addedUp(staging: Staging, uses: readonly KeptUsage[], windows: readonly KeptWindow[], place: string): Row[] {
  const { scopeId, authority, now } = staging
  const digest = ''
  return [
    ...addUp(uses, scopeId, authority, now).map((content) => ({
      id: hashedId([staging.scope, place, content.id]),
      kind: 'usage',
      digest,
      content,
    })),
    ...windows.map((window, at) => ({
      id: hashedId([staging.scope, place, `window ${at}`]),
      kind: 'usage-window',
      digest,
      content: windowRow(window, scopeId, authority, now),
    })),
  ]
}

function isObject(observation: Observation): observation is Digested['told'] {
  return observation.kind !== 'usage' && observation.kind !== 'usage-window'
}

function isKeptObject(kept: Kept): kept is KeptObject {
  return kept.kind !== 'usage' && kept.kind !== 'usage-window'
}

function keptOf(observation: Observation): Kept | undefined {
  return Observation.safeParse(observation).data
}

/** What was told, before anything is parsed: what a thing is told to be again costs its hash. Undefined for what has no id to go by. */
function digestedOf(told: Digested['told'], authority: string): Digested | undefined {
  try {
    const digest = sha256(`${DIGEST_OF}${JSON.stringify(told)}`).toString('hex', 0, DIGEST_BYTES)
    return { id: objectId(authority, told.id), digest, told }
  } catch {
    return undefined
  }
}

/**
 * Of these, what does not stand in the inventory just so: new, told differently, or missed before. Looked up one by one in the index: a plan made
 * while the table was small would read all of it for every page.
 */
async function changedOf(tx: Tx, scopeId: string, objects: readonly Digested[]): Promise<Set<string>> {
  const changed = new Set<string>()
  for (const kind of OBJECT_KINDS) {
    const ofKind = objects.filter(({ told }) => told.kind === kind)
    if (ofKind.length === 0) continue
    const { rows } = await sql<{ id: string }>`
      select t.id
        from unnest(${ofKind.map(({ id }) => id)}::uuid[], ${ofKind.map(({ digest }) => digest)}::text[]) t (id, digest)
        left join lateral (
               select true as stands from ${sql.table(OBJECT_TABLES[kind].table)} o
                where o.id = t.id and o.scope_id = ${scopeId} and o.digest = decode(t.digest, 'hex') and o.missed_at is null
                limit 1) o on true
       where o.stands is null`.execute(tx)
    for (const { id } of rows) changed.add(id)
  }
  return changed
}

/** Most of what most readings tell: kept by the page, since row by row it would cost more than all the rest. How many it told for the first time. */
async function insertTold(tx: Tx, readingId: string, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0
  const once = [...new Set(ids)]
  const digest = sha256(once.join()).subarray(0, DIGEST_BYTES)
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('inventoryTold')
    .values({ readingId, digest, ids: once })
    .onConflict((conflict) => conflict.columns(['readingId', 'digest']).doNothing())
    .executeTakeFirst()
  // What was told otherwise before, on an earlier page.
  await sql`
    update inventory_stage s set content = null from unnest(${once}::uuid[]) t (id)
     where s.reading_id = ${readingId} and s.object_id = t.id and s.content is not null`.execute(tx)
  return numInsertedOrUpdatedRows === 1n ? once.length : 0
}

/** How many of them the reading had not told before. What it tells twice, it tells as the last time. */
async function insertRows(tx: Tx, readingId: string, rows: readonly Row[]): Promise<number> {
  // One statement writes a row once, so of two that are the same thing the later one is written.
  const once = [...new Map(rows.map((row) => [row.id, row])).values()]
  if (once.length === 0) return 0
  const { rows: counted } = await sql<{ fresh: number }>`
    with written as (
      insert into inventory_stage (reading_id, object_id, kind, digest, content)
      select ${readingId}, t.id, t.kind, decode(t.digest, 'hex'), t.content::jsonb
        from unnest(${once.map(({ id }) => id)}::uuid[], ${once.map(({ kind }) => kind)}::text[],
                    ${once.map(({ digest }) => digest)}::text[],
                    ${once.map(({ content }) => JSON.stringify(content))}::text[]) t (id, kind, digest, content)
      on conflict (reading_id, object_id) do update set digest = excluded.digest, content = excluded.content
      returning (xmax = 0) as is_fresh)
    select (count(*) filter (where is_fresh))::int as fresh from written`.execute(tx)
  return counted[0]?.fresh ?? 0
}
