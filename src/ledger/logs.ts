import { ed25519Signer } from '../kernel/crypto.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { Secret } from '../kernel/secret.ts'
import type { Needs } from './fact.ts'
import { openCheckpoint, type Checkpoint } from './tree/checkpoint.ts'
import { formatVerifierKey, noteSigner, parseVerifierKey, type NoteSigner, type VerifierKey } from './tree/note.ts'
import type { TileReader } from './tree/proof.ts'

/** One life of the log as stored: its name, key and the checkpoint of the log it continues. */
export type Log = {
  readonly id: number
  readonly origin: string
  readonly key: VerifierKey
  readonly previousNote: string | null
  readonly startedAt: Date
}

export type SigningLog = Log & { readonly signer: NoteSigner }

const SEED_BYTES = 32

/** All lives of the log, oldest first. */
export async function listLogs(db: Db): Promise<Log[]> {
  const rows = await db
    .selectFrom('ledgerLog')
    .select(['id', 'origin', 'verifierKey', 'previousNote', 'startedAt'])
    .orderBy('id')
    .execute()
  return rows.map(({ verifierKey, ...log }) => ({ ...log, key: parseVerifierKey(verifierKey) }))
}

/** The log that is written now, with what signs it; undefined before the first start. */
export async function openLog(db: Db, needs: Needs): Promise<SigningLog | undefined> {
  const row = await db.selectFrom('ledgerLog').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()
  if (!row) return undefined
  const seed = needs.seal.open(row.sealedKey, placeOfKey(row.id))
  const signer = noteSigner(row.origin, ed25519Signer(seed))
  if (formatVerifierKey(signer.key) !== row.verifierKey)
    throw new Error(`the key of the log ${row.origin} is another's`)
  const { id, origin, previousNote, startedAt } = row
  return { id, origin, key: signer.key, previousNote, startedAt, signer }
}

/** Makes a log with a key of its own. */
export async function startLog(
  tx: Tx,
  needs: Needs,
  log: { id: number; origin: string; previousNote: string | null },
): Promise<SigningLog> {
  const startedAt = needs.clock.now()
  const seed = new Secret(needs.random.bytes(SEED_BYTES))
  const signer = noteSigner(log.origin, ed25519Signer(seed))
  await tx
    .insertInto('ledgerLog')
    .values({
      ...log,
      verifierKey: formatVerifierKey(signer.key),
      sealedKey: needs.seal.seal(seed, placeOfKey(log.id)),
      startedAt,
    })
    .execute()
  return { ...log, key: signer.key, startedAt, signer }
}

/** The last signed checkpoint of a log, verified; undefined while it is empty. */
export async function lastCheckpoint(db: Db, log: Log): Promise<(Checkpoint & { note: string }) | undefined> {
  const row = await db
    .selectFrom('ledgerCheckpoint')
    .select('note')
    .where('logId', '=', log.id)
    .orderBy('size', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && { ...openCheckpoint(row.note, log.key), note: row.note }
}

/** Reads a log's tiles; a partial one grows in place, so what comes may be wider than asked. */
export function tilesOf(db: Db, logId: number): TileReader {
  return async (level, index) => {
    const row = await db
      .selectFrom('ledgerTile')
      .select('hashes')
      .where('logId', '=', logId)
      .where('level', '=', level)
      .where('n', '=', index)
      .executeTakeFirst()
    return row?.hashes ?? Buffer.alloc(0)
  }
}

function placeOfKey(logId: number): string {
  return `ledger_log.sealed_key:${logId}`
}
