import { sql } from 'kysely'
import { sha256Latin1 } from '../../kernel/crypto.ts'
import type { Db } from '../../kernel/db.ts'
import { Bytes, DIGEST_BYTES } from './bytes.ts'
import type { ToldObject } from '../rows.ts'
import { ToldBytes } from './told-bytes.ts'

/** About one thing in so many ends a block; by a power of two. */
const BLOCK = 16
const BLOCK_MAX = 64

export type Block = KnownBlock | OtherBlock
type AnyBlock = {
  /** 16 bytes as latin1. */
  readonly digest: string
  /** Of its first thing, in the page. */
  readonly at: number
}
/** Told by the last complete reading as well. */
export type KnownBlock = AnyBlock & { readonly number: number; readonly count: number }
export type OtherBlock = AnyBlock & { readonly number: undefined; readonly things: readonly ToldThing[] }
type ToldThing = { readonly told: ToldObject; readonly digest: string }

/** What stands of a scope before it is read. */
export type Standing = {
  /** Nothing was ever kept of it: none of what it tells has to be looked for. */
  readonly isNew: boolean
  /** The blocks of its last complete reading: of each digest its number. */
  readonly blocks: ReadonlyMap<string, number>
}

/**
 * Cuts what a page tells into blocks, of which each has one digest. Where a block ends is decided by the id of a thing alone, so what is inserted
 * or left out upstream changes the block it is in and no other. Nothing is made of what is in a block of `standing`.
 */
export function blocksOf(told: readonly ToldObject[], from: number, standing: Standing['blocks']) {
  const blocks: Block[] = []
  const bytes = new Bytes()
  const writer = new ToldBytes(bytes)
  let refused = 0
  let members: ToldObject[] = []
  let ends: number[] = []
  let at = from
  for (const [index, object] of told.entries()) {
    const isTold = hasId(object) && writer.write(object)
    if (isTold) {
      members.push(object)
      ends.push(bytes.end)
    } else refused += 1
    const isEnd = isTold && endsBlock(object)
    if (members.length === 0 || !(isEnd || members.length === BLOCK_MAX || index === told.length - 1)) continue
    const digest = bytes.digestOf(0, bytes.end)
    const number = standing.get(digest)
    if (number === undefined) blocks.push({ digest, at, number, things: thingsOf(bytes, members, ends) })
    else blocks.push({ digest, at, number, count: members.length })
    bytes.cut(0)
    members = []
    ends = []
    at = from + index + 1
  }
  return { blocks, refused }
}

function thingsOf(bytes: Bytes, members: readonly ToldObject[], ends: readonly number[]): ToldThing[] {
  return members.map((told, at) => ({ told, digest: bytes.digestOf(ends[at - 1] ?? 0, ends[at] ?? 0) }))
}

/** Of a text; 16 bytes as latin1. */
export function digestOf(text: string): string {
  return sha256Latin1(text).slice(0, DIGEST_BYTES)
}

/** As a `bytea` is written. */
export function byteaOf(digest: string): string {
  return `\\x${Buffer.from(digest, 'latin1').toString('hex')}`
}

function hasId(told: ToldObject): boolean {
  const id: unknown = told.id
  return typeof id === 'object' && id !== null && typeof told.id.kind === 'string' && typeof told.id.id === 'string'
}

function endsBlock({ id }: ToldObject): boolean {
  // FNV-1a, folded: cheap, and even in its low bits.
  let hash = 0x811c9dc5
  for (let at = 0; at < id.id.length; at += 1) hash = Math.imul(hash ^ id.id.charCodeAt(at), 0x01000193)
  return ((hash ^ (hash >>> 15)) & (BLOCK - 1)) === 0
}

const NOTHING: Standing['blocks'] = new Map()
/** Blocks that are asked for at once: as one value, as a row of its own costs each of them several times more. */
const LOADED = 100_000
const NUMBER_BYTES = 8

/** What a scope has from its last complete reading; a feed tells nothing twice. */
export async function loadStanding(db: Db, scopeId: string, isFeed: boolean): Promise<Standing> {
  const scope = await db.selectFrom('sourceScope').select('state').where('id', '=', scopeId).executeTakeFirst()
  if (!scope) return { isNew: true, blocks: NOTHING }
  // While it was not active another scope may have taken over what it told.
  if (isFeed || scope.state !== 'active') return { isNew: false, blocks: NOTHING }
  const blocks = new Map<string, number>()
  let last = -1
  for (;;) {
    const { rows } = await sql<{ loaded: Buffer | null }>`
      select string_agg(digest || int8send(number), '' order by number) as loaded from (
        select digest, number from inventory_block where scope_id = ${scopeId} and number > ${last} order by number limit ${LOADED}) b`.execute(
      db,
    )
    const loaded = rows[0]?.loaded
    if (!loaded) return { isNew: false, blocks }
    for (let at = 0; at < loaded.length; at += DIGEST_BYTES + NUMBER_BYTES) {
      last = Number(loaded.readBigInt64BE(at + DIGEST_BYTES))
      blocks.set(loaded.toString('latin1', at, at + DIGEST_BYTES), last)
    }
  }
}
