/** Reading the log back: its logs, checkpoints with what witnesses signed, and its leaves in the order of the tree. */
import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { listLogs, tilesOf, type Log } from './logs.ts'
import { splitBodies } from './placing.ts'
import { parseCheckpoint } from './tree/checkpoint.ts'
import type { ExportLeaf, ExportLog } from './tree/export.ts'
import { HASH_BYTES } from './tree/hash.ts'
import { parseNote } from './tree/note.ts'
import { TILE_WIDTH } from './tree/tile.ts'

/** Leaves read at once, give or take a segment. */
const LEAVES_AT_ONCE = 8_192
const CHECKPOINTS_AT_ONCE = 1_000

/** Every log, oldest first, up to its last signed checkpoint, as `writeExport` takes them. */
export async function* exportLogs(db: Db): AsyncGenerator<ExportLog> {
  const logs = await listLogs(db)
  for (const [at, log] of logs.entries()) {
    const size = await signedSize(db, log)
    const lost = logs[at + 1]?.previousNote ?? undefined
    yield { key: log.key, checkpoints: checkpointsOf(db, log, size, lost), leaves: leavesOf(db, log, size) }
  }
}

/** The signed note with the lines that witnesses added. */
export function cosigned(note: string, lines: readonly string[]): string {
  return note + lines.join('')
}

/** How many entries of a log the last checkpoint covers: no more of them is shown to anybody. */
export async function signedSize(db: Db, log: Log): Promise<number> {
  const row = await db
    .selectFrom('ledgerCheckpoint')
    .select((columns) => columns.fn.max('size').as('size'))
    .where('logId', '=', log.id)
    .executeTakeFirst()
  return row?.size ?? 0
}

// A restored log's last checkpoint stands only in the log that continues it; it is exported where its size puts it.
async function* checkpointsOf(db: Db, log: Log, upTo: number, lost: string | undefined): AsyncGenerator<string> {
  const lostSize = lost === undefined ? -1 : sizeIn(lost, log.origin)
  let isLostWritten = lostSize < 0
  for (let after = -1; ;) {
    const rows = await db
      .selectFrom('ledgerCheckpoint as c')
      .select(['c.size', 'c.note'])
      .select((row) =>
        row
          .selectFrom('ledgerCosignature as w')
          .select(sql<string[] | null>`array_agg(w.line order by w.witness)`.as('lines'))
          .whereRef('w.logId', '=', 'c.logId')
          .whereRef('w.size', '=', 'c.size')
          .as('lines'),
      )
      .where('c.logId', '=', log.id)
      .where('c.size', '>', after)
      .where('c.size', '<=', upTo)
      .orderBy('c.size')
      .limit(CHECKPOINTS_AT_ONCE)
      .execute()
    for (const { size, note, lines } of rows) {
      if (!isLostWritten && lostSize <= size) {
        isLostWritten = true
        if (lost !== undefined && lost !== note) yield lost
      }
      yield cosigned(note, lines ?? [])
      after = size
    }
    if (rows.length < CHECKPOINTS_AT_ONCE) break
  }
  if (!isLostWritten && lost !== undefined) yield lost
}

function sizeIn(note: string, origin: string): number {
  const checkpoint = parseCheckpoint(parseNote(note).text)
  return checkpoint.origin === origin ? checkpoint.size : -1
}

type Run = { firstPosition: number; size: number; leaf: Buffer | null; bodies: Buffer | null }

/** The leaves from `first` up to `end`, each with its hash as the tree has it. A row that somebody removed is missing here, as it should. */
export async function* leavesOf(db: Db, log: Log, end: number, first = 0): AsyncGenerator<ExportLeaf> {
  const hashOf = hashReader(db, log)
  for (let from = first; from < end;) {
    const runs = await readRuns(db, log, from, end)
    for (const run of runs) {
      const entries = run.leaf ? [run.leaf] : run.bodies ? splitBodies(run.bodies, run.size) : []
      for (const [at, entry] of entries.entries()) {
        const position = run.firstPosition + at
        if (position < from || position >= end) continue
        const hash = await hashOf(position)
        yield hash ? { entry, hash } : { entry }
      }
      from = run.firstPosition + run.size
    }
    if (runs.length === 0) return
  }
}

// The run that holds `from` may begin before it.
async function readRuns(db: Db, log: Log, from: number, end: number): Promise<Run[]> {
  const { rows } = await sql<Run>`
    select l.first_position as "firstPosition", l.size, e.leaf, s.bodies
      from (select *, sum(size) over (order by first_position) - size as before
              from (select * from ledger_leaf
                     where log_id = ${log.id} and first_position < ${end}
                       and first_position >= (select coalesce(max(first_position), 0) from ledger_leaf
                                               where log_id = ${log.id} and first_position <= ${from})
                     order by first_position
                     limit ${LEAVES_AT_ONCE}) next) l
      left join ledger_entry e on e.id = l.entry_id
      left join ledger_segment s on s.id = l.segment_id
     where l.before < ${LEAVES_AT_ONCE}
     order by l.first_position`.execute(db)
  return rows
}

function hashReader(db: Db, log: Log): (position: number) => Promise<Buffer | undefined> {
  const read = tilesOf(db, log.id)
  let held: { index: number; hashes: Buffer } | undefined
  return async (position) => {
    const index = Math.floor(position / TILE_WIDTH)
    if (held?.index !== index) held = { index, hashes: await read(0, index, TILE_WIDTH) }
    const start = (position % TILE_WIDTH) * HASH_BYTES
    return held.hashes.length < start + HASH_BYTES ? undefined : held.hashes.subarray(start, start + HASH_BYTES)
  }
}
