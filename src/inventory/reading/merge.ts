import { sql } from 'kysely'
import type { Db, Tx } from '../../kernel/db.ts'
import { OBJECT_KINDS, OBJECT_TABLES, type ObjectKind } from '../rows.ts'
import { enterPages, type Merging } from './staged-page.ts'
import type { Foreseen } from './told.ts'

export type Merged = { readonly added: number; readonly changed: number; readonly contested: number }

/** Takes what a reading told into the inventory: new things, and what is told differently. The rest is not touched. */
export async function mergeStage(tx: Tx, merging: Merging, foreseen: Foreseen): Promise<Merged> {
  const { kinds, isPages, changed } = foreseen
  await mergeUsage(tx, merging)
  await mergeWindows(tx, merging)
  if (isPages) {
    await enterPages(tx, merging, kinds.keys())
    return { added: changed, changed: 0, contested: 0 }
  }
  const sum = { added: 0, changed: 0, contested: 0 }
  for (const [kind, staged] of kinds) {
    const { added, written } = await mergeObjects(tx, merging, kind)
    sum.added += added
    sum.changed += written - added
    sum.contested += staged - written
  }
  return sum
}

/**
 * A thing belongs to the scope that told it first: another may only take it over when that one, or the thing, is gone. In the order of ids, which
 * the index takes in twice as fast.
 */
async function mergeObjects(tx: Tx, { readingId, scopeId, now, cause }: Merging, kind: ObjectKind) {
  const { table, columns } = OBJECT_TABLES[kind]
  const named = sql.join(columns.map((column) => sql.ref(column)))
  const taken = sql.join(columns.map((column) => sql`${sql.ref(column)} = ${sql.ref(`excluded.${column}`)}`))
  const { rows } = await sql<{ added: number; written: number }>`
    with written as (
      insert into ${sql.table(table)} as o (id, scope_id, ${named}, digest, first_seen_at, changed_at, cause)
      select distinct on (id) id, scope_id, ${named}, digest, ${now}::timestamptz, ${now}::timestamptz, ${cause}::bigint
        from ${sql.table(`staged_${kind}`)}
       where reading_id = ${readingId} and scope_id = ${scopeId}
       order by id, place desc
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
     where s.reading_id = ${readingId} and s.scope_id = ${scopeId} and s.kind = 'usage'
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
     where s.reading_id = ${readingId} and s.scope_id = ${scopeId} and s.kind = 'usage-window'
     group by r.id
    on conflict (id) do update set seen = o.seen + excluded.seen, cause = excluded.cause
     where not o.seen @> excluded.seen`.execute(tx)
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
  await sql`delete from inventory_block where scope_id = ${scopeId}`.execute(tx)
  return gone
}

/** Forgets what a reading told of a scope: it is in the inventory, or void. */
export async function clearStage(tx: Db, readingId: string, scopeId: string): Promise<void> {
  for (const table of STAGES) {
    await sql`delete from ${sql.table(table)} where reading_id = ${readingId} and scope_id = ${scopeId}`.execute(tx)
  }
}

/** Forgets what a reading told, but for one scope. */
export async function clearStages(tx: Db, readingId: string, exceptScopeId: string | null): Promise<void> {
  for (const table of STAGES) {
    await sql`
      delete from ${sql.table(table)} where reading_id = ${readingId} and scope_id is distinct from ${exceptScopeId}::uuid`.execute(
      tx,
    )
  }
}

/** Of readings that are over and did not clear up. */
export async function clearLost(tx: Tx): Promise<void> {
  for (const table of STAGES) {
    await sql`delete from ${sql.table(table)} s where not exists (
      select from reading_progress p where p.reading_id = s.reading_id)`.execute(tx)
  }
}

const STAGES = ['inventory_stage', 'inventory_told', 'staged_page', ...OBJECT_KINDS.map((kind) => `staged_${kind}`)]
