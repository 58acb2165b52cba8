import { sql, type RawBuilder } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { idAfter, pageAfter } from '../kernel/page.ts'
import { notFound } from '../kernel/problem.ts'
import { coverageOf } from './coverage.ts'
import { OBJECT_TABLES, type ObjectKind } from './rows.ts'
import { InventoryItem, type InventoryDetail, type InventoryQuery } from './schemas.ts'
import { loadSource } from './sources/source-records.ts'

/** Columns that every kind has and `fields` leaves out. */
const COMMON = [
  'id',
  'scope_id',
  'native_kind',
  'native_id',
  'unknown',
  'digest',
  'first_seen_at',
  'changed_at',
  'last_seen_at',
  'missed_at',
  'gone_at',
  'cause',
]
const NAMED = new Set<ObjectKind>(['principal', 'credential', 'resource'])
const TYPED = NAMED
const OF_PRINCIPAL = new Set<ObjectKind>(['credential', 'grant'])
const USES_SHOWN = 100

type Filters = Omit<InventoryQuery, 'cursor' | 'limit'>

/** Things of one kind in the order of their ids, from behind `after`. */
export async function itemsOf(
  db: Db,
  kind: ObjectKind,
  filters: Filters & { readonly id?: string },
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<InventoryItem[]> {
  const source = filters.source === undefined ? undefined : await loadSource(db, filters.source)
  const table = sql.table(OBJECT_TABLES[kind].table)
  const { rows } = await sql<Record<string, unknown>>`
    with page as materialized (${idsOf(table, conditions(kind, { ...filters, after }), { limit, sourceId: source?.id, id: filters.id })})
    select o.id, ${kind} as kind, s.name as source, c.scope, o.native_kind, o.native_id, ${NAMED.has(kind) ? sql.ref('o.name') : sql`null`} as name,
           case when o.gone_at is not null then 'gone' when o.missed_at is not null then 'missed' else 'present' end as presence,
           to_jsonb(o) - ${COMMON}::text[] as fields, o.unknown, o.first_seen_at,
           coalesce(o.last_seen_at, greatest(o.changed_at, c.seen_at)) as last_seen_at
      from page
      join ${table} o on o.id = page.id
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
     order by o.id`.execute(db)
  return rows.map(({ fields, ...row }) => InventoryRow.parse({ ...row, fields: camelCased(fields) }))
}

type Cut = { readonly limit: number; readonly sourceId: string | undefined; readonly id: string | undefined }

/**
 * Which things a page has, of a million in a few milliseconds: of all sources along the ids, of one along the ids of each of its scopes. Joined first,
 * all of them would be read and sorted for every page; so they would by an index of scopes, which `is true` hides.
 */
function idsOf(table: RawBuilder<unknown>, all: readonly RawBuilder<unknown>[], { limit, sourceId, id }: Cut) {
  const where = sql.join([...all, sql`true`], sql` and `)
  if (id !== undefined) return sql`select o.id from ${table} o where o.id = ${id} and ${where}`
  if (sourceId === undefined) {
    return sql`
      select o.id from ${table} o
       where ${where} and (o.scope_id = any (array(
         select c.id from source_scope c join source s on s.id = c.source_id where s.state = 'active'))) is true
       order by o.id limit ${limit}`
  }
  return sql`
    select o.id
      from source_scope c
      join source s on s.id = c.source_id
     cross join lateral (select o.id from ${table} o where o.scope_id = c.id and ${where} order by o.id limit ${limit}) o
     where c.source_id = ${sourceId} and s.state = 'active'
     order by o.id limit ${limit}`
}

/** As the database gives it: instants are dates already. */
const InventoryRow = InventoryItem.extend({
  firstSeenAt: InventoryItem.shape.firstSeenAt.out,
  lastSeenAt: InventoryItem.shape.lastSeenAt.out,
})

function camelCased(fields: unknown): Record<string, unknown> {
  const named = InventoryItem.shape.fields.parse(fields)
  return Object.fromEntries(
    Object.entries(named).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
}

type Asked = Filters & {
  readonly id?: string
  readonly after: string | undefined
}

function conditions(kind: ObjectKind, asked: Asked): RawBuilder<unknown>[] {
  const { id, after, presence, name, type, principal, on } = asked
  const all: RawBuilder<unknown>[] = []
  if (id === undefined) {
    if (presence === 'gone') all.push(sql`o.gone_at is not null`)
    else all.push(presence === 'missed' ? sql`o.gone_at is null and o.missed_at is not null` : sql`o.missed_at is null`)
  }
  if (after !== undefined) all.push(sql`o.id > ${after}`)
  // What a kind does not have, nothing of it has.
  if (name !== undefined) all.push(NAMED.has(kind) ? sql`starts_with(o.name, ${name})` : sql`false`)
  if (type !== undefined) all.push(TYPED.has(kind) ? sql`o.type = ${type}` : sql`false`)
  if (principal !== undefined) all.push(OF_PRINCIPAL.has(kind) ? sql`o.principal_id = ${principal}` : sql`false`)
  if (on !== undefined) all.push(kind === 'grant' ? sql`o.on_id = ${on}` : sql`false`)
  return all
}

/** A page of a kind, with what it does not see. */
export async function listInventory(db: Db, clock: Clock, kind: ObjectKind, query: InventoryQuery) {
  const { cursor, limit, ...filters } = query
  const items = await itemsOf(db, kind, filters, { after: idAfter(cursor), limit: limit + 1 })
  const source = query.source === undefined ? undefined : await loadSource(db, query.source)
  return { ...pageAfter(items, limit, ({ id }) => id), coverage: await coverageOf(db, clock, source?.id) }
}

/** One thing with its uses, gone or not; throws `notFound`. */
export async function readInventory(db: Db, clock: Clock, kind: ObjectKind, id: string): Promise<InventoryDetail> {
  const [item] = await itemsOf(db, kind, { presence: 'present', id }, { after: undefined, limit: 1 })
  if (!item) throw notFound('There is no such thing in the inventory.', { type: 'InventoryItem', id })
  const uses = await db
    .selectFrom('observedUsage')
    .select(['semantics', 'privilege', 'address', 'agent', 'firstAt', 'lastAt', 'count'])
    .where('subjectId', '=', id)
    .orderBy('lastAt', 'desc')
    .limit(USES_SHOWN)
    .execute()
  const source = await loadSource(db, item.source)
  const observed = await db
    .selectFrom('usageWindow as w')
    .innerJoin('sourceScope as c', 'c.id', 'w.scopeId')
    .select(['w.semantics', 'w.sees', sql<string>`w.seen::text`.as('seen')])
    .where('c.sourceId', '=', source.id)
    .where((is) => is.or([is('w.subjectId', '=', id), is('w.subjectId', 'is', null)]))
    .execute()
  return { ...item, uses, observed, coverage: await coverageOf(db, clock, source.id) }
}
