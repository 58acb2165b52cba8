import { keptOf, type Kept, type Observation, type Page } from '../../connectors/connector.ts'
import { copyLine } from '../../kernel/copy.ts'
import { blocksOf, byteaOf, digestOf } from './blocks.ts'
import type { Block, KnownBlock, OtherBlock, Standing } from './blocks.ts'
import { objectId } from '../object-id.ts'
import { OBJECT_TABLES, rowOf } from '../rows.ts'
import type { KeptObject, KeptUsage, KeptWindow, ObjectKind, ToldObject } from '../rows.ts'

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

/** A page as it will be kept, as far as that can be said without asking the database: it is made while the page before is written. */
export type Prepared = {
  readonly number: number
  readonly cursor: string | undefined
  readonly told: number
  /** Of all that the page told; the same for a page that comes again. Undefined where it told nothing. */
  readonly digest: string | undefined
  readonly slices: readonly Slice[]
}
export type Slice = {
  /** Of its first observation. */
  readonly place: number
  /** Blocks that were told before: nothing in them is looked at. */
  readonly known: readonly Run[]
  readonly others: readonly Told[]
  readonly uses: readonly KeptUsage[]
  readonly windows: readonly KeptWindow[]
  readonly refused: number
  readonly fromFuture: number
  /** Of a scope that was never read: everything is kept, and it is known already as what. */
  readonly kept: Lines | undefined
}
/** Known blocks that were told one after the other, with no other between them. */
type Run = {
  /** Of the first. */
  readonly at: number
  /** A literal of `int8multirange`: a block that was told twice is in it once. */
  readonly numbers: string
  readonly blocks: number
  readonly things: number
}
export type Told = { readonly block: OtherBlock; readonly things: readonly Thing[] }
/** `digest` as `bytea` is written. */
export type Thing = { readonly id: string; readonly digest: string; readonly told: ToldObject; readonly place: number }
/** Rows as COPY takes them, and which things have none as they broke the contract. */
export type Lines = { readonly rows: ReadonlyMap<ObjectKind, readonly string[]>; readonly refused: ReadonlySet<Thing> }

export function preparePage(staging: Staging, page: Page, number: number): Prepared {
  const { observations, cursor } = page
  const slices: Slice[] = []
  const digests: string[] = []
  for (let at = 0; at < observations.length; at += SLICE) {
    const place = number * PLACES + at
    const { slice, blocks } = prepareSlice(staging, observations.slice(at, at + SLICE), place, cursor !== undefined)
    slices.push(slice)
    for (const { digest } of blocks) digests.push(digest)
    // Uses of one page are told nowhere else, even where they look the same.
    if (slice.uses.length + slice.windows.length > 0) digests.push(`${place}`)
  }
  const digest = digests.length === 0 ? undefined : digestOf(digests.join(''))
  return { number, cursor, told: observations.length, digest, slices }
}

function prepareSlice(staging: Staging, told: readonly Observation[], place: number, hasCursor: boolean) {
  const { authority, standing } = staging
  const { objects, ...sorted } = sortOut(staging, told, hasCursor)
  const { blocks, refused } = blocksOf(objects, place, standing.blocks)
  const known = runsOf(blocks)
  const others = blocks.flatMap((block) =>
    block.number === undefined ? [{ block, things: thingsOf(block, authority) }] : [],
  )
  const kept = standing.isNew ? linesOf(authority, others) : undefined
  const slice: Slice = { place, known, others, kept, ...sorted, refused: sorted.refused + refused }
  return { slice, blocks }
}

function runsOf(blocks: readonly Block[]): Run[] {
  const runs: Run[] = []
  let run: KnownBlock[] = []
  for (const block of blocks) {
    if (block.number !== undefined) run.push(block)
    else if (run.length > 0) {
      runs.push(runOf(run))
      run = []
    }
  }
  if (run.length > 0) runs.push(runOf(run))
  return runs
}

function runOf(known: readonly KnownBlock[]): Run {
  const ranges: string[] = []
  let [from, to, things] = [-1, -1, 0]
  for (const { number, count } of known) {
    things += count
    if (number !== to) {
      if (from !== to) ranges.push(`[${from},${to})`)
      from = number
    }
    to = number + 1
  }
  ranges.push(`[${from},${to})`)
  return { at: known[0]?.at ?? 0, numbers: `{${ranges.join()}}`, blocks: known.length, things }
}

function sortOut(staging: Staging, told: readonly Observation[], hasCursor: boolean) {
  const objects: ToldObject[] = []
  const uses: KeptUsage[] = []
  const windows: KeptWindow[] = []
  let refused = 0
  let fromFuture = 0
  for (const observation of told) {
    if (isObject(observation)) {
      objects.push(observation)
      continue
    }
    const kept = keptOf(observation)
    // A page without a cursor may come again, and would count again.
    if (kept?.kind === 'usage' && (kept.count === undefined || hasCursor)) {
      uses.push(kept)
      if (kept.at > staging.now) fromFuture += 1
    } else if (kept?.kind === 'usage-window') windows.push(kept)
    else refused += 1
  }
  return { objects, uses, windows, refused, fromFuture }
}

function thingsOf({ things, at }: OtherBlock, authority: string): Thing[] {
  return things.map(({ told, digest }, index) => ({
    id: objectId(authority, told.id),
    digest: byteaOf(digest),
    told,
    place: at + index,
  }))
}

/** Rows of the things that are `wanted`, in the order of `staged_*`: place, id, digest, and the columns of the kind. */
export function linesOf(
  authority: string,
  others: readonly Told[],
  wanted: (thing: Thing) => boolean = () => true,
): Lines {
  const rows = new Map<ObjectKind, string[]>()
  const refused = new Set<Thing>()
  for (const { things } of others) {
    for (const thing of things) {
      if (!wanted(thing)) continue
      const kept = keptOf(thing.told)
      if (!kept || !isKeptObject(kept)) {
        refused.add(thing)
        continue
      }
      const ofKind = rows.get(kept.kind) ?? []
      if (ofKind.length === 0) rows.set(kept.kind, ofKind)
      ofKind.push(lineOf(authority, thing, kept))
    }
  }
  return { rows, refused }
}

function lineOf(authority: string, { id, digest, place }: Thing, kept: KeptObject): string {
  const row = rowOf(kept, authority)
  return copyLine([place, id, digest, ...OBJECT_TABLES[kept.kind].columns.map((column) => row[column])])
}

function isObject(observation: Observation): observation is ToldObject {
  return observation.kind !== 'usage' && observation.kind !== 'usage-window'
}

function isKeptObject(kept: Kept): kept is KeptObject {
  return kept.kind !== 'usage' && kept.kind !== 'usage-window'
}
