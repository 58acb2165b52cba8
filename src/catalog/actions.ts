import { sql } from 'kysely'
import { sha256 } from '../kernel/crypto.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { keyAfter, pageAfter, type Page } from '../kernel/page.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { actionsCatalogued } from './events.ts'
import { ActionEntry, type OfferedAction } from './schemas.ts'

const COLUMNS = [
  'name',
  'protocol',
  'class',
  'tier',
  'tierElsewhere',
  'enforcement',
  'deciders',
  'summary',
  'obligations',
] as const

/** Those of the names that the catalog has. */
export async function loadActions(db: Db, names: readonly string[]): Promise<ActionEntry[]> {
  const rows = await db.selectFrom('privilegedAction').select(COLUMNS).where('name', 'in', names).execute()
  return rows.map((row) => ActionEntry.parse(row))
}

/** What a gateway of the protocol enforces. */
export async function actionsOf(db: Db, protocol: string): Promise<ActionEntry[]> {
  const rows = await db
    .selectFrom('privilegedAction')
    .select(COLUMNS)
    .where('protocol', '=', protocol)
    .where('enforcement', '=', 'gateway')
    .orderBy('name')
    .execute()
  return rows.map((row) => ActionEntry.parse(row))
}

export async function listActions(db: Db, query: { cursor?: string | undefined; limit: number }) {
  const found = await db
    .selectFrom('privilegedAction')
    .select(COLUMNS)
    .where('name', '>', keyAfter(query.cursor))
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  const page: Page<ActionEntry> = pageAfter(
    found.map((row) => ActionEntry.parse(row)),
    query.limit,
    (action) => action.name,
  )
  return page
}

/**
 * Makes the catalog hold these actions, as the gateways name them at start. What did not change is not touched; nothing is taken out,
 * since grants and purposes of the past name it. Nodes that start together take turns. Returns the names that are new or changed.
 */
export async function syncActions(tx: Tx, ledger: Ledger, offered: readonly OfferedAction[]): Promise<string[]> {
  const actions = offered.map((action) => ActionEntry.parse(action))
  await sql`select pg_advisory_xact_lock(hashtext('catalog.actions'))`.execute(tx)
  const rows = await tx.selectFrom('privilegedAction').select(COLUMNS).execute()
  const known = new Map(rows.map((row) => ActionEntry.parse(row)).map((action) => [action.name, action]))
  const changed = actions.filter((action) => canonical(action) !== canonical(known.get(action.name)))
  if (changed.length === 0) return []
  for (const action of changed) known.set(action.name, action)
  const names = changed.map((action) => action.name)
  const catalog = [...known.keys()].sort().map((name) => canonical(known.get(name)))
  const cause = await ledger.record(tx, {
    event: actionsCatalogued,
    actor: SYSTEM,
    resource: { type: 'Installation', id: 'installation' },
    outcome: 'done',
    facts: { names, sha256: sha256(catalog.join('\n')).toString('hex') },
  })
  for (const { name, ...entry } of changed) {
    const values = {
      ...entry,
      obligations: JSON.stringify(entry.obligations),
      deciders: JSON.stringify(entry.deciders),
      cause,
    }
    await tx
      .insertInto('privilegedAction')
      .values({ name, ...values })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
      .execute()
  }
  return names
}

/** One text per meaning: `jsonb` gives keys back in its own order. */
function canonical(action: ActionEntry | undefined): string {
  if (!action) return ''
  const obligations = Object.entries(action.obligations).sort(([a], [b]) => (a < b ? -1 : 1))
  const { name, protocol, class: group, tier, tierElsewhere, enforcement, deciders, summary } = action
  const { owns, holds, credentials } = deciders
  return JSON.stringify([
    [name, protocol, group, tier, tierElsewhere, enforcement],
    [owns, holds, credentials],
    summary,
    obligations,
  ])
}
