import { sql } from 'kysely'
import type { Db, Tx } from '../kernel/db.ts'
import { OBJECT_KINDS, OBJECT_TABLES, type ObjectKind } from './rows.ts'

export type Merging = {
  readonly readingId: string
  readonly scopeId: string
  readonly now: Date
  readonly cause: number
}
export type Merged = { readonly added: number; readonly changed: number; readonly contested: number }

/** Takes what a reading told into the inventory: new things, and what is told differently. The rest is not touched. */
export async function mergeStage(tx: Tx, merging: Merging, { kinds }: Pick<Foreseen, 'kinds'>): Promise<Merged> {
  const sum = { added: 0, changed: 0, contested: 0 }
  for (const kind of OBJECT_KINDS) {
    const staged = kinds.get(kind) ?? 0
    if (staged === 0) continue
    const { added, written } = await mergeObjects(tx, merging, kind)
    sum.added += added
    sum.changed += written - added
    sum.contested += staged - written
  }
  if (kinds.has('usage')) await mergeUsage(tx, merging)
  if (kinds.has('usage-window')) await mergeWindows(tx, merging)
  return sum
}

/** How many rows of each kind have content to take over. */
async function stagedKinds(tx: Tx, readingId: string): Promise<Map<string, number>> {
  const rows = await tx
    .selectFrom('inventoryStage')
    .select(['kind', (is) => is.fn.countAll<number>().as('count')])
    .where('readingId', '=', readingId)
    .where('content', 'is not', null)
    .groupBy('kind')
    .execute()
  return new Map(rows.map(({ kind, count }) => [kind, count]))
}

/** A thing belongs to the scope that told it first: another may only take it over when that one, or the thing, is gone. */
async function mergeObjects(tx: Tx, { readingId, scopeId, now, cause }: Merging, kind: ObjectKind) {
  const { table, columns } = OBJECT_TABLES[kind]
  const named = sql.join(columns.map((column) => sql.ref(column)))
  const told = sql.join(columns.map((column) => sql.ref(`r.${column}`)))
  const taken = sql.join(columns.map((column) => sql`${sql.ref(column)} = ${sql.ref(`excluded.${column}`)}`))
  const { rows } = await sql<{ added: number; written: number }>`
    with written as (
      insert into ${sql.table(table)} as o (id, scope_id, ${named}, digest, first_seen_at, changed_at, cause)
      select s.object_id, ${scopeId}, ${told}, s.digest, ${now}, ${now}, ${cause}
        from inventory_stage s cross join lateral jsonb_populate_record(null::${sql.table(table)}, s.content) r
       where s.reading_id = ${readingId} and s.kind = ${kind} and s.content is not null
      on conflict (id) do update
         set scope_id = excluded.scope_id, ${taken}, digest = excluded.digest, changed_at = excluded.changed_at,
             last_seen_at = null, missed_at = null, gone_at = null, cause = excluded.cause
       where o.scope_id = excluded.scope_id or o.gone_at is not null
          or not exists (select from source_scope l where l.id = o.scope_id and l.state = 'active')
      returning (xmax = 0) as is_new)
    select (count(*) filter (where is_new))::int as added, count(*)::int as written from written`.execute(tx)
  return rows[0] ?? { added: 0, written: 0 }
}

/** Counts are added up; what the source does not count moves only when it is later. */
async function mergeUsage(tx: Tx, { readingId, scopeId, cause }: Merging): Promise<void> {
  await sql`
    insert into observed_usage as o (id, scope_id, subject_id, semantics, privilege, on_id, actor_id, address, agent, day_at, first_at, last_at,
                                     count, instances, cause)
    select r.id, ${scopeId}, min(r.subject_id::text)::uuid, min(r.semantics), min(r.privilege), min(r.on_id::text)::uuid, min(r.actor_id::text)::uuid,
           min(r.address), min(r.agent), min(r.day_at), min(r.first_at), max(r.last_at), sum(r.count), sum(r.instances), ${cause}
      from inventory_stage s cross join lateral jsonb_populate_record(null::observed_usage, s.content) r
     where s.reading_id = ${readingId} and s.kind = 'usage'
     group by r.id
    on conflict (id) do update
       set first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at),
           count = o.count + excluded.count, instances = o.instances + excluded.instances, cause = excluded.cause
     where excluded.count > 0 or excluded.last_at > o.last_at`.execute(tx)
}

async function mergeWindows(tx: Tx, { readingId, scopeId, cause }: Merging): Promise<void> {
  await sql`
    insert into usage_window as o (id, scope_id, subject_id, semantics, sees, seen, cause)
    select r.id, ${scopeId}, min(r.subject_id::text)::uuid, min(r.semantics), min(r.sees), range_agg(r.seen), ${cause}
      from inventory_stage s cross join lateral jsonb_populate_record(null::usage_window, s.content) r
     where s.reading_id = ${readingId} and s.kind = 'usage-window'
     group by r.id
    on conflict (id) do update set seen = o.seen + excluded.seen, cause = excluded.cause
     where not o.seen @> excluded.seen`.execute(tx)
}

export type Absent = { readonly missed: number; readonly gone: number }
/** What closing a scope is about to change. */
export type Foreseen = Absent & {
  readonly changed: number
  /** Of each kind, how many rows have content to take over. */
  readonly kinds: ReadonlyMap<string, number>
  /** Kinds of which something was not told. */
  readonly absent: readonly ObjectKind[]
  /** How many things the reading told in all. */
  readonly told: number
}

/** The scope's entry says what changes before the rows point to it. */
export async function foresee(
  tx: Tx,
  { readingId, scopeId }: Omit<Merging, 'cause' | 'now'>,
  isWhole: boolean,
): Promise<Foreseen> {
  const kinds = await stagedKinds(tx, readingId)
  const changed = OBJECT_KINDS.reduce((sum, kind) => sum + (kinds.get(kind) ?? 0), 0)
  const found = { changed, kinds, told: await countTold(tx, readingId), missed: 0, gone: 0 }
  if (!isWhole) return { ...found, absent: [] }
  const absent: ObjectKind[] = []
  for (const kind of OBJECT_KINDS) {
    const { rows } = await sql<Absent>`
      ${toldBy(readingId)}
      select (count(*) filter (where o.missed_at is null))::int as missed, (count(*) filter (where o.missed_at is not null))::int as gone
        from ${sql.table(OBJECT_TABLES[kind].table)} o where ${untoldIn(scopeId)}`.execute(tx)
    const { missed, gone } = rows[0] ?? { missed: 0, gone: 0 }
    if (missed + gone > 0) absent.push(kind)
    found.missed += missed
    found.gone += gone
  }
  return { ...found, absent }
}

/** How many things the reading told, each once however often it was told. */
export async function countTold(db: Db, readingId: string): Promise<number> {
  const { rows } = await sql<{ told: number }>`
    ${toldBy(readingId)} select count(distinct id)::int as told from told`.execute(db)
  return rows[0]?.told ?? 0
}

function toldBy(readingId: string) {
  return sql`
    with told (id) as materialized (
      select object_id from inventory_stage where reading_id = ${readingId}
      union all
      select unnest(ids) from inventory_told where reading_id = ${readingId})`
}

function untoldIn(scopeId: string) {
  return sql`o.scope_id = ${scopeId} and o.gone_at is null and not exists (select from told t where t.id = o.id)`
}

/** After a reading that saw everything: what it did not tell is missed, and gone when it was missed before. */
export async function markAbsent(
  tx: Tx,
  { readingId, scopeId, now, cause }: Merging,
  { absent }: Pick<Foreseen, 'absent'>,
): Promise<Absent> {
  const sum = { missed: 0, gone: 0 }
  for (const kind of absent) {
    const { table } = OBJECT_TABLES[kind]
    const { rows } = await sql<{ missed: number; gone: number }>`
      ${toldBy(readingId)}, marked as (
        update ${sql.table(table)} o
           set missed_at = coalesce(o.missed_at, ${now}), gone_at = case when o.missed_at is not null then ${now}::timestamptz end,
               last_seen_at = coalesce(o.last_seen_at, (select l.seen_at from source_scope l where l.id = ${scopeId}), o.changed_at),
               cause = ${cause}
         where ${untoldIn(scopeId)}
        returning (gone_at is not null) as is_gone)
      select (count(*) filter (where not is_gone))::int as missed, (count(*) filter (where is_gone))::int as gone from marked`.execute(
      tx,
    )
    sum.missed += rows[0]?.missed ?? 0
    sum.gone += rows[0]?.gone ?? 0
  }
  return sum
}

/** Everything that a scope told is gone with it. */
export async function markGone(tx: Tx, scopeId: string, now: Date, cause: number): Promise<number> {
  let gone = 0
  for (const kind of OBJECT_KINDS) {
    const { numAffectedRows } = await sql`
      update ${sql.table(OBJECT_TABLES[kind].table)} o
         set missed_at = coalesce(o.missed_at, ${now}), gone_at = ${now}, cause = ${cause},
             last_seen_at = coalesce(o.last_seen_at, (select l.seen_at from source_scope l where l.id = ${scopeId}), o.changed_at)
       where o.scope_id = ${scopeId} and o.gone_at is null`.execute(tx)
    gone += Number(numAffectedRows ?? 0n)
  }
  return gone
}

/** Forgets what a reading told; it is in the inventory, or void. */
export async function clearStage(tx: Db, readingId: string): Promise<void> {
  await tx.deleteFrom('inventoryStage').where('readingId', '=', readingId).execute()
  await tx.deleteFrom('inventoryTold').where('readingId', '=', readingId).execute()
}
