import { sql, type RawBuilder } from 'kysely'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { SealBroken, type Seal } from '../../kernel/seal.ts'
import type { Secret } from '../../kernel/secret.ts'
import { reachCustody } from './fault-points.ts'
import { REMEMBERED, SEALED_COLUMNS, type SealedColumn } from './sealed.ts'

/** What came of one look at everything sealed. `broken`: places that open under neither key. */
export type Rewrapped = { readonly moved: number; readonly broken: readonly string[] }

type Row = { readonly at: string; readonly place: string; readonly sealed: Buffer }
type Moved = { readonly at: string; readonly was: Buffer; readonly now: Buffer }

const BATCH = 500
const MOST_NAMED = 50

/**
 * Puts every record key under `next`; no value is opened. Each column is one transaction, and what is under `next` already stays, so it goes
 * on where it was stopped. For the owner of the schema, while no node runs: what a row says does not change, so its triggers, which ask for
 * an entry of its own and for its next state, are off for this and nothing else.
 */
export async function rewrapSealed(db: Db, seal: Seal, next: Secret<Buffer>): Promise<Rewrapped> {
  let moved = 0
  const broken: string[] = []
  for (const column of SEALED_COLUMNS) {
    const done = await transact(db, (tx) => rewrapColumn(tx, column, { seal, next }))
    moved += done.moved
    broken.push(...done.broken)
    await reachCustody('custody.column-done')
  }
  return { moved, broken: broken.slice(0, MOST_NAMED) }
}

type Keys = { readonly seal: Seal; readonly next: Secret<Buffer> }

async function rewrapColumn(tx: Tx, { table, column, place }: SealedColumn, keys: Keys): Promise<Rewrapped> {
  const [named, sealed] = [sql.ref(table), sql.ref(column)]
  await sql`alter table ${named} disable trigger user`.execute(tx)
  await sql`declare sealed_rows no scroll cursor for
    select ctid::text as at, ${sql.raw(place)} as place, ${sealed} as sealed from ${named} where ${sealed} is not null`.execute(
    tx,
  )
  const broken: string[] = []
  let moved = 0
  for (;;) {
    const { rows } = await sql<Row>`fetch ${sql.raw(String(BATCH))} from sealed_rows`.execute(tx)
    if (rows.length === 0) break
    const batch = rows.flatMap((row) => movedRow(row, keys, broken))
    if (batch.length > 0) await write(tx, { named, sealed }, batch)
    if (batch.length > 0 && REMEMBERED.has(`${table}.${column}`)) await remember(tx, batch)
    moved += batch.length
  }
  await sql`close sealed_rows`.execute(tx)
  await sql`alter table ${named} enable trigger user`.execute(tx)
  return { moved, broken }
}

function movedRow({ at, place, sealed }: Row, { seal, next }: Keys, broken: string[]): Moved[] {
  try {
    const now = seal.rewrap(sealed, place, next)
    return now ? [{ at, was: sealed, now }] : []
  } catch (error) {
    if (!(error instanceof SealBroken)) throw error
    broken.push(place)
    return []
  }
}

async function write(
  tx: Tx,
  { named, sealed }: { readonly named: RawBuilder<unknown>; readonly sealed: RawBuilder<unknown> },
  batch: readonly Moved[],
): Promise<void> {
  await sql`update ${named} as t set ${sealed} = u.sealed
    from unnest(${batch.map(({ at }) => at)}::text[]::tid[], ${batch.map(({ now }) => now)}::bytea[]) as u(at, sealed)
    where t.ctid = u.at`.execute(tx)
}

/** A rotation that is under way finds the login that it was planned for. */
async function remember(tx: Tx, batch: readonly Moved[]): Promise<void> {
  await sql`alter table rotation disable trigger user`.execute(tx)
  await sql`update rotation as r set was_sha256 = u.now
    from unnest(${batch.map(({ was }) => sha256(was))}::bytea[], ${batch.map(({ now }) => sha256(now))}::bytea[]) as u(was, now)
    where r.was_sha256 = u.was`.execute(tx)
  await sql`alter table rotation enable trigger user`.execute(tx)
}
