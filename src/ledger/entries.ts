import { z } from 'zod'
import type { Db, Tx } from '../kernel/db.ts'
import { decodeCursor, page } from '../kernel/http/cursor.ts'
import { notFound } from '../kernel/problem.ts'
import { sealUnder } from '../kernel/seal.ts'
import { nothingSigned, type listEntries, type LedgerEntry, type Receipt, type Revealed } from './contract.ts'
import type { Ledger } from './entry.ts'
import type { Fact, Needs } from './fact.ts'
import { personalRevealed } from './events.ts'
import { lastCheckpoint, listLogs, tilesOf } from './logs.ts'
import { placeOf } from './personal.ts'
import { cosigned } from './read.ts'
import { SALT_BYTES } from './tree/commitment.ts'
import { proveInclusion } from './tree/proof.ts'
import { encodeReceipt } from './tree/receipt.ts'

const Leaf = z.record(z.string(), z.json())

function entries(db: Db) {
  return db
    .selectFrom('ledgerEntry as e')
    .leftJoin('ledgerLeaf as l', 'l.entryId', 'e.id')
    .leftJoin('ledgerLog as g', 'g.id', 'l.logId')
    .select(['e.id', 'e.at', 'e.kind', 'e.actorId', 'e.resourceId', 'e.grantId', 'e.leaf'])
    .select(['g.origin', 'l.firstPosition as position'])
}

/** Causes, by what they are about; observations are only in the tree. */
export async function listLedger(
  db: Db,
  query: z.output<(typeof listEntries)['query']>,
): Promise<{ items: LedgerEntry[]; nextCursor: string | null }> {
  const isNewestFirst = query.order === 'newest'
  let rows = entries(db)
    .orderBy('e.id', isNewestFirst ? 'desc' : 'asc')
    .limit(query.limit + 1)
  if (query.grant !== undefined) rows = rows.where('e.grantId', '=', query.grant)
  if (query.resource !== undefined) rows = rows.where('e.resourceId', '=', query.resource)
  if (query.kind !== undefined) rows = rows.where('e.kind', '=', query.kind)
  if (query.cursor !== undefined) {
    rows = rows.where('e.id', isNewestFirst ? '<' : '>', Number(decodeCursor(query.cursor, ['number'])[0]))
  }
  const { items, nextCursor } = page(await rows.execute(), query.limit, ({ id }) => [id])
  return { items: items.map(decoded), nextCursor }
}

/** One cause. */
export async function findEntry(db: Db, id: number): Promise<LedgerEntry> {
  return decoded(await requireEntry(db, id))
}

/** The inclusion of a cause in the last signed tree of its log, with what witnesses signed under it. */
export async function proveCause(db: Db, id: number): Promise<Receipt> {
  const entry = await requireEntry(db, id)
  const log = (await listLogs(db)).find(({ origin }) => origin === entry.origin)
  const last = log && (await lastCheckpoint(db, log))
  if (!log || !last || entry.position === null) {
    throw nothingSigned('The entry has no place in the log yet; ask again in a second.', { entryId: id })
  }
  const path = await proveInclusion(tilesOf(db, log.id), entry.position, last.size)
  const lines = await db
    .selectFrom('ledgerCosignature')
    .select('line')
    .where('logId', '=', log.id)
    .where('size', '=', last.size)
    .orderBy('witness')
    .execute()
  const checkpoint = cosigned(
    last.note,
    lines.map(({ line }) => line),
  )
  return {
    origin: log.origin,
    index: entry.position,
    size: last.size,
    leaf: entry.leaf.toString('utf8'),
    proof: encodeReceipt({ index: entry.position, path, checkpoint }),
  }
}

/** The personal fields of a cause with what opens their commitments; who asked and why is entered. */
export async function revealEntry(
  tx: Tx,
  needs: Needs & { readonly ledger: Pick<Ledger, 'record'> },
  act: Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'>,
  asked: { readonly entryId: number; readonly reason: string },
): Promise<{ fields: z.output<typeof Revealed>[] }> {
  const { entryId, reason } = asked
  await requireEntry(tx, entryId)
  const rows = await tx
    .selectFrom('ledgerPrivate as p')
    .innerJoin('subjectKey as k', 'k.subjectId', 'p.subjectId')
    .select(['p.field', 'p.subjectId', 'p.sealed', 'k.sealedKey'])
    .where('p.entryId', '=', entryId)
    .orderBy('p.field')
    .execute()
  await needs.ledger.record(tx, {
    ...act,
    event: personalRevealed,
    resource: { type: 'Ledger', id: 'installation' },
    outcome: 'done',
    facts: { entryId, fields: rows.map(({ field }) => field), reason },
  })
  const fields = rows.map(({ field, subjectId, sealed, sealedKey }) => {
    if (!sealedKey) return { field, subjectId, value: null, salt: null }
    const key = needs.seal.open(sealedKey, `subject_key:${subjectId}`)
    const opened = sealUnder(key).open(sealed, placeOf(entryId, field)).reveal()
    const salt = opened.subarray(0, SALT_BYTES).toString('base64')
    return { field, subjectId, value: opened.toString('utf8', SALT_BYTES), salt }
  })
  return { fields }
}

async function requireEntry(db: Db, id: number) {
  const row = await entries(db).where('e.id', '=', id).executeTakeFirst()
  if (!row) throw notFound('There is no such entry.', { type: 'LedgerEntry', id: String(id) })
  return row
}

function decoded<Row extends { readonly leaf: Buffer }>(row: Row) {
  const parsed: unknown = JSON.parse(row.leaf.toString('utf8'))
  return { ...row, leaf: Leaf.parse(parsed) }
}
