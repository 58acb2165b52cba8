/** A log as C2SP tlog-tiles serves it: its checkpoint, its tiles and its entries, so that any client of such logs can follow this one. */
import type { z } from 'zod'
import type { Db } from '../kernel/db.ts'
import { notFound } from '../kernel/problem.ts'
import { nothingSigned, type readBundle, type readNote, type readTile } from './contract.ts'
import { listLogs, tilesOf, type Log } from './logs.ts'
import { cosigned, leavesOf, signedSize } from './read.ts'
import { HASH_BYTES } from './tree/hash.ts'
import { encodeBundle, parseTilePath, TILE_WIDTH, tileWidth, type TileId } from './tree/tile.ts'

/** The last checkpoint of a log with the lines of its witnesses; undefined while nothing is signed. */
export async function lastSigned(db: Db, log: Log): Promise<{ size: number; at: Date; note: string } | undefined> {
  const row = await db
    .selectFrom('ledgerCheckpoint')
    .select(['size', 'at', 'note'])
    .where('logId', '=', log.id)
    .orderBy('size', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return undefined
  const witnessed = await db
    .selectFrom('ledgerCosignature')
    .select('line')
    .where('logId', '=', log.id)
    .where('size', '=', row.size)
    .orderBy('witness')
    .execute()
  const lines = witnessed.map(({ line }) => line)
  return { ...row, note: cosigned(row.note, lines) }
}

export async function noteOf(db: Db, params: z.output<(typeof readNote)['params']>): Promise<string> {
  const signed = await lastSigned(db, await requireLog(db, params.log))
  if (!signed) throw nothingSigned('The log has no entries yet.', { entryId: null })
  return signed.note
}

/** A tile of hashes; a partial one too when it has grown since, since what it held stays as it was. */
export async function tileOf(db: Db, params: z.output<(typeof readTile)['params']>): Promise<Uint8Array> {
  const log = await requireLog(db, params.log)
  const path = `tile/${params.level}/${params.tile}`
  const wanted = parseTilePath(path)
  if (wanted?.kind !== 'hashes') throw noTile(log, path)
  await requireSigned(db, log, wanted, path)
  const { level, index, width } = wanted
  const hashes = await tilesOf(db, log.id)(level, index, width)
  if (hashes.length < width * HASH_BYTES) throw new Error(`${path} of ${log.origin} is shorter than what was signed`)
  return hashes.subarray(0, width * HASH_BYTES)
}

/** The exact bytes of up to 256 entries. */
export async function bundleOf(db: Db, params: z.output<(typeof readBundle)['params']>): Promise<Uint8Array> {
  const log = await requireLog(db, params.log)
  const path = `tile/entries/${params.tile}`
  const wanted = parseTilePath(path)
  if (wanted?.kind !== 'entries') throw noTile(log, path)
  await requireSigned(db, log, { level: 0, ...wanted }, path)
  const first = wanted.index * TILE_WIDTH
  const leaves = await Array.fromAsync(leavesOf(db, log, first + wanted.width, first))
  if (leaves.length !== wanted.width) throw new Error(`${path} of ${log.origin} holds less than what was signed`)
  return encodeBundle(leaves.map(({ entry }) => entry))
}

async function requireLog(db: Db, number: string): Promise<Log> {
  const log = (await listLogs(db)).find(({ id }) => String(id) === number)
  if (!log) throw notFound('There is no such log.', { type: 'LedgerLog', id: number })
  return log
}

async function requireSigned(db: Db, log: Log, { level, index, width }: TileId, path: string): Promise<void> {
  if (tileWidth(await signedSize(db, log), level, index) < width) throw noTile(log, path)
}

function noTile(log: Log, path: string) {
  return notFound(`The log ${log.origin} has no ${path} yet, or it is spelled in another way.`, {
    type: 'LedgerTile',
    id: path,
  })
}
