import { sql } from 'kysely'
import type { Db, Tx } from '../../kernel/db.ts'
import { OBJECT_KINDS, OBJECT_TABLES, type ObjectKind } from '../rows.ts'
import { kindsOfPages, spreadPages, type Merging } from './staged-page.ts'

export type Absent = { readonly missed: number; readonly gone: number }
/** What closing a scope is about to change. */
export type Foreseen = Absent & {
  readonly changed: number
  /** Of each kind that has any, how many things are new or told differently. */
  readonly kinds: ReadonlyMap<ObjectKind, number>
  /** Kinds of which something was not told. */
  readonly absent: readonly ObjectKind[]
  /** How many things the reading told in all. */
  readonly told: number
  /** Whether it told each once. */
  readonly isOnce: boolean
  /** Whether the things are kept as pages still: nothing of the scope stands, and it told each once or is taken to. */
  readonly isPages: boolean
}

type Part = Pick<Merging, 'readingId' | 'scopeId'>

/**
 * The scope's entry says what changes before the rows point to it. `isNew`: it was never closed before, and its things are kept as pages. `isAllNew`:
 * what it tells is taken to be new, each thing once; the inventory takes nothing twice and says so otherwise.
 */
export async function foresee(
  tx: Tx,
  part: Part,
  { isWhole, isNew, isAllNew }: { readonly isWhole: boolean; readonly isNew: boolean; readonly isAllNew: boolean },
): Promise<Foreseen> {
  // Things of two kinds may have one id, which no table of one kind notices.
  const isGranted = isNew && isAllNew && (await kindsOfPages(tx, part)).size <= 1
  const { told, isOnce, isAllKnown } = await countTold(tx, part, isGranted)
  const isPages = isNew && isAllNew && isOnce
  if (isNew && !isPages) await spreadPages(tx, part)
  if (!isOnce) await voidEarlier(tx, part)
  const kinds = await changedKinds(tx, part, { isPages, isAllKnown })
  const changed = [...kinds.values()].reduce((sum, count) => sum + count, 0)
  const found = { changed, kinds, told, isOnce, isPages, missed: 0, gone: 0 }
  if (!isWhole || isNew) return { ...found, absent: [] }
  const of = await leftOut(tx, part)
  const { rows } = await sql<Absent & { kind: ObjectKind }>`
    ${of.with} ${sql.join(
      OBJECT_KINDS.map(
        (kind) => sql`
      select ${kind} as kind, (count(*) filter (where o.missed_at is null))::int as missed,
             (count(*) filter (where o.missed_at is not null))::int as gone
        from ${sql.table(OBJECT_TABLES[kind].table)} o where ${of.where}`,
      ),
      sql` union all `,
    )}`.execute(tx)
  const absent = rows.filter(({ missed, gone }) => missed + gone > 0)
  for (const { missed, gone } of absent) {
    found.missed += missed
    found.gone += gone
  }
  return { ...found, absent: absent.map(({ kind }) => kind) }
}

/** How many things the reading told, each once however often it was told; or when that is taken for granted, how often it told any. */
export async function countTold(db: Db, part: Part, isGranted = false) {
  const { readingId, scopeId } = part
  const { rows } = await sql<{ known: number; others: number; numbers: number; things: number }>`
    with told as materialized (
      select known, blocks, things from inventory_told where reading_id = ${readingId} and scope_id = ${scopeId})
    select coalesce(sum(blocks) filter (where known is not null), 0)::int as known, count(*) filter (where known is null)::int as others,
           coalesce(sum(things), 0)::int as things,
           (select coalesce(sum(upper(r) - lower(r)), 0)::int from unnest((select range_agg(known) from told)) r) as numbers
      from told`.execute(db)
  const { known, others, numbers, things } = rows[0] ?? { known: 0, others: 0, numbers: 0, things: 0 }
  const isAllKnown = others === 0
  // What blocks of the last complete reading have, they have once.
  const isOnce = isGranted || (numbers === known && (isAllKnown || (known > 0 && (await isOnlyMoved(db, part)))))
  const told = isOnce ? things : await countDistinct(db, part)
  return { told, isOnce: told === things, isAllKnown }
}

/** Whether all that is in other blocks was told once, and stood in blocks that were not told again: then no block that was has it. */
async function isOnlyMoved(db: Db, part: Part): Promise<boolean> {
  const { rows } = await sql<{ all: number; once: number; moved: number }>`
    with other as materialized (${otherIds(part)}),
         left_out as materialized (
      select unnest(b.ids) as id from inventory_block b where b.scope_id = ${part.scopeId} and not b.number <@ ${knownNumbers(part)})
    select count(*)::int as all, count(distinct o.id)::int as once, count(l.id)::int as moved from other o left join left_out l using (id)`.execute(
    db,
  )
  const [count] = rows
  return count !== undefined && count.all === count.once && count.all === count.moved
}

async function countDistinct(db: Db, part: Part): Promise<number> {
  const { rows } = await sql<{ told: number }>`
    select count(*)::int as told from (
      select from (
        ${otherIds(part)}
        union all
        select unnest(b.ids) from inventory_block b where b.scope_id = ${part.scopeId} and b.number <@ ${knownNumbers(part)}) told
       group by id) once`.execute(db)
  return rows[0]?.told ?? 0
}

/** Things of blocks that the last complete reading did not tell. */
function otherIds({ readingId, scopeId }: Part) {
  return sql`select unnest(t.ids) as id from inventory_told t
       where t.reading_id = ${readingId} and t.scope_id = ${scopeId} and t.known is null`
}

/** Each thing that was told, with where; a block that was told twice in a row at one of the places. */
function toldOnes({ readingId, scopeId }: Part) {
  return sql`
      select unnest(t.ids) as id, t.place from inventory_told t
       where t.reading_id = ${readingId} and t.scope_id = ${scopeId} and t.known is null
      union all
      select unnest(b.ids), k.place
        from (select t.place, generate_series(lower(r), upper(r) - 1) as number
                from inventory_told t cross join lateral unnest(t.known) r
               where t.reading_id = ${readingId} and t.scope_id = ${scopeId} and t.known is not null) k
        join inventory_block b on b.scope_id = ${scopeId} and b.number = k.number`
}

/** Numbers of the blocks that were told as the last complete reading told them. */
function knownNumbers({ readingId, scopeId }: Part) {
  return sql`(select coalesce(range_agg(t.known), '{}') from inventory_told t
       where t.reading_id = ${readingId} and t.scope_id = ${scopeId} and t.known is not null)`
}

/** What was told again on a later page, as it stands or otherwise, is told as there. */
async function voidEarlier(tx: Tx, part: Part): Promise<void> {
  for (const kind of OBJECT_KINDS) {
    await sql`
      delete from ${sql.table(`staged_${kind}`)} s
       using (select id, max(place) as place from (${toldOnes(part)}) told group by id) last
       where s.reading_id = ${part.readingId} and s.scope_id = ${part.scopeId} and last.id = s.id and s.place < last.place`.execute(
      tx,
    )
  }
}

async function changedKinds(
  tx: Tx,
  part: Part,
  { isPages, isAllKnown }: { readonly isPages: boolean; readonly isAllKnown: boolean },
): Promise<Map<ObjectKind, number>> {
  if (isAllKnown) return new Map()
  return isPages ? kindsOfPages(tx, part) : stagedKinds(tx, part)
}

async function stagedKinds(tx: Tx, { readingId, scopeId }: Part): Promise<Map<ObjectKind, number>> {
  const { rows } = await sql<{ kind: ObjectKind; count: number }>`${sql.join(
    OBJECT_KINDS.map(
      (kind) => sql`
    select ${kind} as kind, count(distinct id)::int as count from ${sql.table(`staged_${kind}`)}
     where reading_id = ${readingId} and scope_id = ${scopeId}`,
    ),
    sql` union all `,
  )}`.execute(tx)
  return new Map(rows.filter(({ count }) => count > 0).map(({ kind, count }) => [kind, count]))
}

/**
 * What of a scope was not told, as the beginning and the condition of a statement over each kind `o`. Where the last complete reading left blocks,
 * that can only be what is in those that were not told again, or is missed already; otherwise it is looked for among all.
 */
async function leftOut(tx: Tx, { readingId, scopeId }: Part) {
  const { rows } = await sql`select from inventory_block where scope_id = ${scopeId} limit 1`.execute(tx)
  const told = sql`
    with told as materialized (
      ${otherIds({ readingId, scopeId })})`
  const stands = sql`o.scope_id = ${scopeId} and o.gone_at is null`
  if (rows.length === 0) {
    return { with: told, where: sql`${stands} and not exists (select from told t where t.id = o.id)` }
  }
  const missed = OBJECT_KINDS.map(
    (kind) => sql`
      union all select m.id from ${sql.table(OBJECT_TABLES[kind].table)} m
       where m.scope_id = ${scopeId} and m.missed_at is not null and m.gone_at is null`,
  )
  const candidates = sql`${told}, left_out as materialized (
      select c.id from (
        select unnest(b.ids) as id from inventory_block b
         where b.scope_id = ${scopeId} and not b.number <@ ${knownNumbers({ readingId, scopeId })}
        ${sql.join(missed, sql` `)}) c
       where not exists (select from told t where t.id = c.id))`
  return { with: candidates, where: sql`${stands} and o.id = any (array(select id from left_out))` }
}

/** After a reading that saw everything: what it did not tell is missed, and gone when it was missed before. */
export async function markAbsent(
  tx: Tx,
  { readingId, scopeId, now, cause }: Merging,
  { absent }: Pick<Foreseen, 'absent'>,
): Promise<Absent> {
  const sum = { missed: 0, gone: 0 }
  if (absent.length === 0) return sum
  const of = await leftOut(tx, { readingId, scopeId })
  for (const kind of absent) {
    const { table } = OBJECT_TABLES[kind]
    const { rows } = await sql<{ missed: number; gone: number }>`
      ${of.with}, marked as (
        update ${sql.table(table)} o
           set missed_at = coalesce(o.missed_at, ${now}), gone_at = case when o.missed_at is not null then ${now}::timestamptz end,
               last_seen_at = coalesce(o.last_seen_at, (select l.seen_at from source_scope l where l.id = ${scopeId}), o.changed_at),
               cause = ${cause}
         where ${of.where}
        returning (gone_at is not null) as is_gone)
      select (count(*) filter (where not is_gone))::int as missed, (count(*) filter (where is_gone))::int as gone from marked`.execute(
      tx,
    )
    sum.missed += rows[0]?.missed ?? 0
    sum.gone += rows[0]?.gone ?? 0
  }
  return sum
}

/**
 * What the next reading need not look at. Only a complete reading says what all there is; where it told a thing twice, or one of another scope, its
 * blocks would not say what stands. A reading that changed nothing and was not complete leaves those of the last one that was.
 */
export async function keepBlocks(
  tx: Tx,
  { readingId, scopeId }: Part,
  { isComplete, isUntouched }: { readonly isComplete: boolean; readonly isUntouched: boolean },
): Promise<void> {
  if (isUntouched && !isComplete) return
  const part = { readingId, scopeId }
  await sql`
    delete from inventory_block b
     where b.scope_id = ${scopeId} and not (${isComplete}::boolean and b.number <@ ${knownNumbers(part)})`.execute(tx)
  if (!isComplete) return
  await sql`
    insert into inventory_block (scope_id, number, digest, ids)
    select scope_id, (select coalesce(max(b.number), -1) from inventory_block b where b.scope_id = ${scopeId}) + row_number() over (order by place),
           digest, ids
      from inventory_told
     where reading_id = ${readingId} and scope_id = ${scopeId} and known is null`.execute(tx)
}
