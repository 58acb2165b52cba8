/**
 * What a sequencer finds when it takes the lock. The last signed checkpoint is also kept outside the database: when the database holds a
 * smaller or another tree (it was restored or failed over), that tree is never signed again. A new log starts instead, whose first entry
 * names the last checkpoint of the old one (core 12).
 */
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log as Logger } from '../kernel/log.ts'
import { ledgerContinued } from './events.ts'
import { openLedger } from './entry.ts'
import { SYSTEM, type Needs } from './fact.ts'
import { lastCheckpoint, listLogs, openLog, startLog, tilesOf, type Log, type SigningLog } from './logs.ts'
import { place, SegmentBroken, type Head } from './placing.ts'
import { leavesOf } from './read.ts'
import { openCheckpoint, parseCheckpoint, type Checkpoint } from './tree/checkpoint.ts'
import { continuationFacts } from './tree/export.ts'
import { EMPTY_ROOT, leafHash } from './tree/hash.ts'
import { parseNote } from './tree/note.ts'
import { rootFromTiles } from './tree/proof.ts'

export type Resumed = { readonly log: SigningLog; readonly head: Head; readonly note: string | undefined }

/** So many of the last entries are hashed again when a sequencer takes the lock: about a tenth of a second. `reeve ledger verify` hashes all. */
const LEAVES_CHECKED = 4_096
/** Read at once, so that entries of the greatest length fit into the memory. */
const LEAVES_AT_ONCE = 1_024

const NOTHING: Head = { size: 0, root: EMPTY_ROOT }

/** The log to go on with. `outside` is the checkpoint kept outside the database, `name` what a first log is called. */
export async function resume(
  db: Db,
  needs: Needs & { log: Logger },
  name: string,
  outside: string | undefined,
): Promise<Resumed> {
  const logs = await listLogs(db)
  const current = await openLog(db, needs)
  const kept = outside === undefined ? undefined : readKept(outside, logs)
  if (!current && !kept) {
    const log = await transact(db, (tx) => startLog(tx, needs, { id: 1, origin: name, previousNote: null }))
    return { log, head: NOTHING, note: undefined }
  }
  const head = current && (await lastCheckpoint(db, current))
  const loss = await lossOf(db, logs, current, head, kept)
  if (current && !loss) return { log: current, head: head ?? NOTHING, note: head?.note }
  const last = kept ?? head
  if (!last) throw new Error('the tree of the ledger is damaged and no checkpoint of it was ever signed')
  const origin = nextOrigin(logs, last.origin)
  needs.log.error({ loss, previous: last.origin, origin }, 'the ledger was restored or changed: a new log starts')
  return transact(db, (tx) => startContinuation(tx, needs, { id: (current?.id ?? 0) + 1, origin }, last))
}

async function startContinuation(
  tx: Tx,
  needs: Needs,
  log: { id: number; origin: string },
  last: Checkpoint & { note: string },
): Promise<Resumed> {
  const started = await startLog(tx, needs, { ...log, previousNote: last.note })
  const facts = continuationFacts(last)
  const id = await openLedger(needs).record(tx, {
    event: ledgerContinued,
    actor: SYSTEM,
    resource: { type: 'Ledger', id: log.origin },
    outcome: 'done',
    facts,
  })
  const { leaf } = await tx.selectFrom('ledgerEntry').select('leaf').where('id', '=', id).executeTakeFirstOrThrow()
  const first = await place(tx, needs.clock, started, NOTHING, [{ source: 'entry', id, leaves: [leaf] }])
  return { log: started, head: first, note: first.note }
}

/** Why the tree of the database may not be signed further; undefined when it is the one that was signed, or goes on from it. */
async function lossOf(
  db: Db,
  logs: readonly Log[],
  current: Log | undefined,
  head: Checkpoint | undefined,
  kept: Checkpoint | undefined,
): Promise<string | undefined> {
  if (!current) return 'the database holds no log'
  const size = head?.size ?? 0
  const read = tilesOf(db, current.id)
  if (head && !(await hasRoot(read, head))) return 'the stored tree is not the one that was signed'
  const changed = await changedLeaves(db, current, size)
  if (changed !== undefined) return changed
  if (!kept) return undefined
  if (kept.origin !== current.origin) {
    // A node that signed before another one started the present log: accounted for if that one knew of as much.
    const next = logs[logs.findIndex(({ origin }) => origin === kept.origin) + 1]
    const named = next?.previousNote ? parseCheckpoint(parseNote(next.previousNote).text) : undefined
    return named?.origin === kept.origin && named.size >= kept.size ? undefined : `${kept.origin} was signed further`
  }
  if (kept.size > size) return `${kept.size} entries were signed and ${size} are there`
  return (await hasRoot(read, kept)) ? undefined : `the first ${kept.size} entries are not those that were signed`
}

/** Where an entry of the last ones is gone, or has other bytes than its tile says; as narrow as one read. */
async function changedLeaves(db: Db, log: Log, size: number): Promise<string | undefined> {
  for (let first = Math.max(0, size - LEAVES_CHECKED); first < size; first += LEAVES_AT_ONCE) {
    const end = Math.min(size, first + LEAVES_AT_ONCE)
    if (!(await areAsSigned(db, log, first, end)))
      return `an entry from ${first} to ${end - 1} is not the one that was signed`
  }
  return undefined
}

async function areAsSigned(db: Db, log: Log, first: number, end: number): Promise<boolean> {
  let count = 0
  try {
    for await (const { entry, hash } of leavesOf(db, log, end, first)) {
      if (!hash?.equals(leafHash(entry))) return false
      count += 1
    }
  } catch (error) {
    // A connection that broke says nothing of the entries; anything else is a segment that does not hold what it says.
    if (!(error instanceof SegmentBroken)) throw error
    return false
  }
  return count === end - first
}

async function hasRoot(read: ReturnType<typeof tilesOf>, { size, root }: Head): Promise<boolean> {
  try {
    return (await rootFromTiles(read, size)).equals(root)
  } catch {
    // Tiles are missing or too short.
    return false
  }
}

function readKept(note: string, logs: readonly Log[]): Checkpoint & { note: string } {
  const checkpoint = parseCheckpoint(parseNote(note).text)
  const log = logs.find(({ origin }) => origin === checkpoint.origin)
  // Of a log that is unknown here only the name can be read: a restore took its key away.
  return { ...(log ? openCheckpoint(note, log.key) : checkpoint), note }
}

function nextOrigin(logs: readonly Log[], last: string): string {
  const names = [...logs.map(({ origin }) => origin), last]
  const parts = names.map((name) => /^(.*?)(?:\/(\d{1,9}))?$/.exec(name))
  const highest = Math.max(...parts.map((part) => Number(part?.[2] ?? 1)))
  const base = /^(.*?)(?:\/\d{1,9})?$/.exec(names[0] ?? last)?.[1] ?? last
  return `${base}/${highest + 1}`
}
