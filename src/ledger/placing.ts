/** One round of the sequencer: committed entries and segments that wait get their positions, and the tree over them is signed. */
import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import { afterThisTurn } from '../kernel/timer.ts'
import { reachLedger } from './fault-points.ts'
import type { SigningLog } from './logs.ts'
import { appendLeaves, openFrontier, type Frontier } from './tree/append.ts'
import { signCheckpoint } from './tree/checkpoint.ts'
import { HASH_BYTES, leafHash } from './tree/hash.ts'
import { frontierTiles, tilePath, type Tile } from './tree/tile.ts'

/** The tree as it was last signed: a round begins nowhere else. */
export type Head = { readonly size: number; readonly root: Buffer }

export type Placed = Head & { readonly note: string; readonly entries: number }

/** What waits: one leaf (an entry) or a run of them (a segment), in the order in which they get their positions. */
export type Waiting = { readonly source: 'entry' | 'segment'; readonly id: number; readonly leaves: readonly Buffer[] }

/** A round takes this much at most, so that a backlog neither fills the memory nor holds one transaction for long. */
const ROUND_MAX_ENTRIES = 2_000
const ROUND_MAX_SEGMENTS = 128
const ROUND_MAX_BYTES = 16 * 1024 * 1024
/** Hashed without a break; about a millisecond, since the node's own traffic waits meanwhile. */
const LEAVES_IN_ONE_TURN = 256

/** Thrown when the stored tree is not the one that was signed: it is never signed again. */
class TreeChanged extends Error {
  override readonly name = 'TreeChanged'
}

/** What waits, at most a round of it: entries by id, then segments by id. */
export async function readWaiting(tx: Tx): Promise<Waiting[]> {
  const entries = await tx
    .selectFrom('ledgerPending as p')
    .innerJoin('ledgerEntry as e', 'e.id', 'p.id')
    .select(['p.id', 'e.leaf'])
    .where('p.source', '=', 'entry')
    .orderBy('p.id')
    .limit(ROUND_MAX_ENTRIES)
    .execute()
  const { rows: segments } = await sql<{ id: number; size: number; bodies: Buffer }>`
    select id, size, bodies
      from (select s.id, s.size, s.bodies, sum(octet_length(s.bodies)) over (order by s.id) - octet_length(s.bodies) as before
              from (select id from ledger_pending where source = 'segment' order by id limit ${ROUND_MAX_SEGMENTS}) p
              join ledger_segment s on s.id = p.id) waiting
     where before < ${ROUND_MAX_BYTES}
     order by id`.execute(tx)
  return [
    ...entries.map(({ id, leaf }) => ({ source: 'entry' as const, id, leaves: [leaf] })),
    ...segments.map(({ id, size, bodies }) => ({ source: 'segment' as const, id, leaves: splitBodies(bodies, size) })),
  ]
}

/** Gives `waiting` the next positions of the log and signs the tree. Throws `TreeChanged` when the stored edge is not `head`'s. */
export async function place(
  tx: Tx,
  clock: Clock,
  log: SigningLog,
  head: Head,
  waiting: readonly Waiting[],
): Promise<Placed> {
  const frontier = await loadFrontier(tx, log.id, head)
  const { size, root, tiles } = await grow(frontier, head.root, waiting)
  const note = signCheckpoint({ origin: log.origin, size, root, extensions: [] }, [log.signer])
  await writeLeaves(tx, log.id, head.size, waiting)
  await reachLedger('sequencer.leaves-written')
  await writeTiles(tx, log.id, tiles)
  await reachLedger('sequencer.tiles-written')
  await tx.insertInto('ledgerCheckpoint').values({ logId: log.id, size, note, at: clock.now() }).execute()
  await removePending(tx, waiting)
  await reachLedger('sequencer.before-commit')
  return { size, root, note, entries: waiting.length }
}

async function loadFrontier(tx: Tx, logId: number, head: Head): Promise<Frontier> {
  const wanted = frontierTiles(head.size)
  const rows =
    wanted.length === 0
      ? []
      : await tx
          .selectFrom('ledgerTile')
          .select(['level', 'n', 'hashes'])
          .where('logId', '=', logId)
          .where((is) => is.or(wanted.map(({ level, index }) => is.and({ level, n: index }))))
          .execute()
  try {
    const tiles = rows.map(({ level, n, hashes }) => ({ level, index: n, width: hashes.length / HASH_BYTES, hashes }))
    const frontier = openFrontier(head.size, tiles)
    if (appendLeaves(frontier, []).root.equals(head.root)) return frontier
  } catch (error) {
    throw new TreeChanged('the stored tree lacks tiles of its edge', { cause: error })
  }
  throw new TreeChanged('the stored tree is not the one that was signed')
}

async function grow(
  from: Frontier,
  root: Buffer,
  waiting: readonly Waiting[],
): Promise<{ size: number; root: Buffer; tiles: Tile[] }> {
  const tiles = new Map<string, Tile>()
  let frontier = from
  let hashes: Buffer[] = []
  const append = async () => {
    const grown = appendLeaves(frontier, hashes)
    hashes = []
    frontier = grown.frontier
    root = grown.root
    // A tile that grows further is the same row: its widest form is written, once.
    for (const tile of grown.tiles) tiles.set(tilePath({ ...tile, width: 1 }), tile)
    await new Promise<void>(afterThisTurn)
  }
  for (const { leaves } of waiting) {
    for (const leaf of leaves) {
      hashes.push(leafHash(leaf))
      if (hashes.length === LEAVES_IN_ONE_TURN) await append()
    }
  }
  if (hashes.length > 0) await append()
  return { size: frontier.size, root, tiles: [...tiles.values()] }
}

async function writeLeaves(tx: Tx, logId: number, size: number, waiting: readonly Waiting[]): Promise<void> {
  let position = size
  const positions = waiting.map(({ leaves }) => (position += leaves.length) - leaves.length)
  const sizes = waiting.map(({ leaves }) => leaves.length)
  const entries = waiting.map(({ source, id }) => (source === 'entry' ? id : null))
  const segments = waiting.map(({ source, id }) => (source === 'segment' ? id : null))
  await sql`insert into ledger_leaf (log_id, first_position, size, entry_id, segment_id)
            select ${logId}, *
              from unnest(${positions}::bigint[], ${sizes}::integer[], ${entries}::bigint[], ${segments}::bigint[])`.execute(
    tx,
  )
}

async function writeTiles(tx: Tx, logId: number, tiles: readonly Tile[]): Promise<void> {
  const levels = tiles.map(({ level }) => level)
  const indexes = tiles.map(({ index }) => index)
  const hashes = tiles.map((tile) => tile.hashes)
  await sql`insert into ledger_tile (log_id, level, n, hashes)
            select ${logId}, * from unnest(${levels}::smallint[], ${indexes}::bigint[], ${hashes}::bytea[])
                on conflict (log_id, level, n) do update set hashes = excluded.hashes`.execute(tx)
}

async function removePending(tx: Tx, waiting: readonly Waiting[]): Promise<void> {
  const sources = waiting.map(({ source }) => source)
  const ids = waiting.map(({ id }) => id)
  const { numAffectedRows } = await sql`
    delete from ledger_pending p
     using unnest(${sources}::text[], ${ids}::bigint[]) placed (source, id)
     where p.source = placed.source and p.id = placed.id`.execute(tx)
  if (numAffectedRows !== BigInt(waiting.length)) throw new Error('somebody else took entries that wait for their leaf')
}

/** A stored segment does not hold the observations that it says: somebody changed it. */
export class SegmentBroken extends Error {
  override readonly name = 'SegmentBroken'
}

/** The leaves of a segment; each stands behind its length. Throws `SegmentBroken` when it does not hold `size` of them. */
export function splitBodies(bodies: Buffer, size: number): Buffer[] {
  const leaves: Buffer[] = []
  for (let at = 0; at < bodies.length;) {
    const end = at + 2 + (at + 2 > bodies.length ? Number.POSITIVE_INFINITY : bodies.readUInt16BE(at))
    if (end > bodies.length) throw new SegmentBroken('a segment ends inside an observation')
    leaves.push(bodies.subarray(at + 2, end))
    at = end
  }
  if (leaves.length !== size) throw new SegmentBroken('a segment does not hold the observations that it says')
  return leaves
}
