import { sql } from 'kysely'
import { Observation, type Kept, type Page } from '../connectors/connector.ts'
import { copyLine } from '../kernel/copy.ts'
import { copyInto, transact, type Db, type Tx } from '../kernel/db.ts'
import { blocksOf, byteaOf, digestOf, type Block, type Standing, type ToldObject } from './blocks.ts'
import { hashedId, objectId } from './object-id.ts'
import { addUp, OBJECT_KINDS, OBJECT_TABLES, rowOf, windowRow } from './rows.ts'
import type { KeptObject, KeptUsage, KeptWindow, ObjectKind } from './rows.ts'

/** Observations of one statement; a page that is larger is taken in slices. */
const SLICE = 2_000
/** Places of one page: more than any page has. */
const PLACES = 10_000_000

export type Staging = {
  readonly readingId: string
  readonly holderId: string
  readonly scope: string
  readonly scopeId: string
  readonly authority: string
  readonly now: Date
  readonly standing: Standing
}
export type Staged = {
  readonly told: number
  /** Of all that the page told; the same for a page that comes again. Undefined where it told nothing. */
  readonly digest: string | undefined
  /** Observations that broke the contract and were not kept. */
  readonly refused: number
  readonly fromFuture: number
}

/** Somebody else took the reading over: whatever this node still reads of it is void. */
export class TakenOver extends Error {
  override readonly name = 'TakenOver'
}

/** `digest` as `bytea` is written. */
type Thing = { readonly id: string; readonly digest: string; readonly told: ToldObject; readonly place: number }
type Place = { readonly page: number; readonly at: number; readonly hasCursor: boolean }
type Sorted = {
  readonly objects: ToldObject[]
  readonly uses: KeptUsage[]
  readonly windows: KeptWindow[]
  refused: number
  fromFuture: number
}

/** Keeps one page beside the inventory, with how far the reading is, in one transaction: a reading that dies goes on behind it. */
export async function stagePage(db: Db, staging: Staging, page: Page, pageNumber: number): Promise<Staged> {
  return transact(db, async (tx) => {
    const sum = { told: page.observations.length, refused: 0, fromFuture: 0 }
    const digests: string[] = []
    for (let at = 0; at < page.observations.length; at += SLICE) {
      const slice = page.observations.slice(at, at + SLICE)
      const staged = await stageSlice(tx, staging, slice, {
        page: pageNumber,
        at,
        hasCursor: page.cursor !== undefined,
      })
      digests.push(...staged.digests)
      sum.refused += staged.refused
      sum.fromFuture += staged.fromFuture
    }
    const { numUpdatedRows } = await tx
      .updateTable('readingProgress')
      .set((is) => ({
        scope: staging.scope,
        cursor: page.cursor ?? is.ref('cursor'),
        pages: pageNumber,
        items: is('items', '+', sum.told - sum.refused),
        beatAt: staging.now,
      }))
      .where('readingId', '=', staging.readingId)
      .where('holderId', '=', staging.holderId)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) throw new TakenOver('another node went on with this reading')
    return { ...sum, digest: digests.length === 0 ? undefined : digestOf(digests.join('')) }
  })
}

async function stageSlice(tx: Tx, staging: Staging, told: readonly Observation[], place: Place) {
  const sorted = sortOut(staging, told, place)
  const from = place.page * PLACES + place.at
  const { blocks, refused } = blocksOf(sorted.objects, from)
  const refusedThings = await stageBlocks(tx, staging, blocks)
  await insertUses(tx, staging, sorted, `${place.page}:${place.at}`)
  const isNews = sorted.uses.length + sorted.windows.length > 0
  return {
    // Uses of one page are told nowhere else, even where they look the same.
    digests: [...blocks.map(({ digest }) => digest), ...(isNews ? [`${from}`] : [])],
    refused: sorted.refused + refused + refusedThings,
    fromFuture: sorted.fromFuture,
  }
}

function sortOut(staging: Staging, told: readonly Observation[], { hasCursor }: Place): Sorted {
  const sorted: Sorted = { objects: [], uses: [], windows: [], refused: 0, fromFuture: 0 }
  for (const observation of told) {
    if (isObject(observation)) {
      sorted.objects.push(observation)
      continue
    }
    const kept = keptOf(observation)
    // A page without a cursor may come again, and would count again.
    if (kept?.kind === 'usage' && (kept.count === undefined || hasCursor)) {
      sorted.uses.push(kept)
      if (kept.at > staging.now) sorted.fromFuture += 1
    } else if (kept?.kind === 'usage-window') sorted.windows.push(kept)
    else sorted.refused += 1
  }
  return sorted
}

function isObject(observation: Observation): observation is ToldObject {
  return observation.kind !== 'usage' && observation.kind !== 'usage-window'
}

function isKeptObject(kept: Kept): kept is KeptObject {
  return kept.kind !== 'usage' && kept.kind !== 'usage-window'
}

function keptOf(observation: Observation): Kept | undefined {
  return Observation.safeParse(observation).data
}

const TOLD = { table: 'inventory_told', columns: ['reading_id', 'scope_id', 'place', 'digest', 'ids'] }

/** Of blocks that were told before nothing is looked at; of the others what is new or told differently is kept. How many were refused. */
async function stageBlocks(tx: Tx, staging: Staging, blocks: readonly Block[]): Promise<number> {
  const { readingId, scopeId, authority, standing } = staging
  const told: string[] = []
  const others: { block: Block; things: Thing[] }[] = []
  for (const block of blocks) {
    if (standing.blocks.has(block.digest)) {
      told.push(copyLine([readingId, scopeId, block.at, byteaOf(block.digest), null]))
    } else others.push({ block, things: thingsOf(block, authority) })
  }
  const things = others.flatMap((other) => other.things)
  const changed = standing.isNew ? undefined : await changedOf(tx, scopeId, things)
  const rows = new Map<ObjectKind, string[]>()
  const refused = new Set<Thing>()
  for (const thing of things) {
    if (changed && !changed.has(thing.id)) continue
    const kept = keptOf(thing.told)
    if (!kept || !isKeptObject(kept)) {
      refused.add(thing)
      continue
    }
    const ofKind = rows.get(kept.kind) ?? []
    ofKind.push(stagedLine(staging, thing, kept))
    rows.set(kept.kind, ofKind)
  }
  for (const { block, things: inside } of others) {
    const ids = inside.filter((thing) => !refused.has(thing)).map(({ id }) => id)
    if (ids.length > 0) told.push(copyLine([readingId, scopeId, block.at, byteaOf(block.digest), `{${ids.join()}}`]))
  }
  for (const [kind, lines] of rows) {
    const columns = ['reading_id', 'scope_id', 'place', 'id', 'digest', ...OBJECT_TABLES[kind].columns]
    await copyInto(tx, { table: `staged_${kind}`, columns }, lines)
  }
  await copyInto(tx, TOLD, told)
  return refused.size
}

function thingsOf({ things, at }: Block, authority: string): Thing[] {
  return things.map(({ told, text }, index) => ({
    id: objectId(authority, told.id),
    digest: byteaOf(digestOf(text)),
    told,
    place: at + index,
  }))
}

function stagedLine(
  { readingId, scopeId, authority }: Staging,
  { id, digest, place }: Thing,
  kept: KeptObject,
): string {
  const row = rowOf(kept, authority)
  const { columns } = OBJECT_TABLES[kept.kind]
  return copyLine([readingId, scopeId, place, id, digest, ...columns.map((column) => row[column])])
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

async function insertUses(tx: Tx, staging: Staging, { uses, windows }: Sorted, place: string): Promise<void> {
  const { readingId, scope, scopeId, authority, now } = staging
  const rows = [
    ...addUp(uses, scopeId, authority, now).map((content) => ({
      objectId: hashedId([scope, place, content.id]),
      kind: 'usage',
      content: JSON.stringify(content),
    })),
    ...windows.map((window, at) => ({
      objectId: hashedId([scope, place, `window ${at}`]),
      kind: 'usage-window',
      content: JSON.stringify(windowRow(window, scopeId, authority, now)),
    })),
  ]
  await copyInto(
    tx,
    { table: 'inventory_stage', columns: ['reading_id', 'object_id', 'kind', 'content'] },
    rows.map(({ objectId: id, kind, content }) => copyLine([readingId, id, kind, content])),
  )
}
