import { sql } from 'kysely'
import type { Observation } from '../connectors/connector.ts'
import { sha256Latin1 } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { ObjectKind } from './rows.ts'

/** Changed when what is kept of an observation changes, so that everything is then kept anew. */
const DIGEST_OF = 'kept:1'
const DIGEST_BYTES = 16
/** About one thing in so many ends a block; by a power of two. */
const BLOCK = 16
const BLOCK_MAX = 64

export type ToldObject = Extract<Observation, { kind: ObjectKind }>
/** A thing as it was told: its text before anything is parsed. */
type ToldThing = { readonly told: ToldObject; readonly text: string }
export type Block = {
  /** 16 bytes as latin1. */
  readonly digest: string
  readonly things: readonly ToldThing[]
  /** Of its first thing, in the page. */
  readonly at: number
}

/** What stands of a scope before it is read. */
export type Standing = {
  /** Nothing was ever kept of it: none of what it tells has to be looked for. */
  readonly isNew: boolean
  /** Digests of the blocks of its last complete reading. */
  readonly blocks: ReadonlySet<string>
}

/**
 * Cuts what a page tells into blocks, of which each has one digest. Where a block ends is decided by the id of a thing alone, so what is inserted
 * or left out upstream changes the block it is in and no other.
 */
export function blocksOf(told: readonly ToldObject[], from: number): { blocks: Block[]; refused: number } {
  const blocks: Block[] = []
  let refused = 0
  let things: ToldThing[] = []
  let at = from
  for (const [index, object] of told.entries()) {
    const text = textOf(object)
    if (text === undefined) refused += 1
    else things.push({ told: object, text })
    const isEnd = text !== undefined && endsBlock(object)
    if (things.length === 0 || !(isEnd || things.length === BLOCK_MAX || index === told.length - 1)) continue
    blocks.push({ digest: digestOf(things.map((thing) => thing.text).join('\n')), things, at })
    things = []
    at = from + index + 1
  }
  return { blocks, refused }
}

/** Of a text; 16 bytes as latin1. */
export function digestOf(text: string): string {
  return sha256Latin1(`${DIGEST_OF}${text}`).slice(0, DIGEST_BYTES)
}

/** As a `bytea` is written. */
export function byteaOf(digest: string): string {
  return `\\x${Buffer.from(digest, 'latin1').toString('hex')}`
}

/** Undefined for what has no text or no id to go by. */
function textOf(told: ToldObject): string | undefined {
  try {
    return typeof told.id.kind === 'string' && typeof told.id.id === 'string' ? JSON.stringify(told) : undefined
  } catch {
    return undefined
  }
}

function endsBlock({ id }: ToldObject): boolean {
  // FNV-1a, folded: cheap, and even in its low bits.
  let hash = 0x811c9dc5
  for (let at = 0; at < id.id.length; at += 1) hash = Math.imul(hash ^ id.id.charCodeAt(at), 0x01000193)
  return ((hash ^ (hash >>> 15)) & (BLOCK - 1)) === 0
}

const NOTHING: ReadonlySet<string> = new Set()

/** What a scope has from its last complete reading; a feed tells nothing twice. */
export async function loadStanding(db: Db, scopeId: string, isFeed: boolean): Promise<Standing> {
  const scope = await db.selectFrom('sourceScope').select('state').where('id', '=', scopeId).executeTakeFirst()
  if (!scope) return { isNew: true, blocks: NOTHING }
  // While it was not active another scope may have taken over what it told.
  if (isFeed || scope.state !== 'active') return { isNew: false, blocks: NOTHING }
  const { rows } = await sql<{ digest: Buffer }>`
    select digest from inventory_block where scope_id = ${scopeId}`.execute(db)
  return { isNew: false, blocks: new Set(rows.map(({ digest }) => digest.toString('latin1'))) }
}
