import type pg from 'pg'

type Line = { table: string; text: string }

/** The schema of this release as a person reads it: tables with columns and rules, indexes, triggers, functions, comments. */
export async function schemaDump(client: pg.Client): Promise<string> {
  const tables = await read(client, TABLES)
  const columns = await read(client, COLUMNS)
  const constraints = await read(client, CONSTRAINTS)
  const after = [...(await read(client, INDEXES)), ...(await read(client, COMMENTS)), ...(await read(client, TRIGGERS))]
  const functions = await read(client, FUNCTIONS)
  const lines = ['-- Derived from the migrated database by `npm run generate`. Partitions are left out.', '']
  for (const { table, text } of tables) {
    const of = (all: readonly Line[]) => all.filter((line) => line.table === table).map((line) => line.text)
    const body = [...of(columns), ...of(constraints)].map((line) => `  ${line}`)
    lines.push(`create table ${table} (`, body.join(',\n'), `)${text};`, ...of(after), '')
  }
  lines.push(...functions.flatMap(({ text }) => [`${text};`, '']))
  return lines.join('\n')
}

const OURS = `c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname not in ('schema_migration', 'schema_migration_lock', 'schema_checksum')`

const TABLES = `
  select c.relname as "table", coalesce(' partition by ' || pg_get_partkeydef(c.oid), '') as text
    from pg_class c where ${OURS} order by c.relname`

const COLUMNS = `
  select c.relname as "table",
         a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || case when a.attnotnull then ' not null' else '' end
           || case when a.attidentity = 'a' then ' generated always as identity' else '' end
           || case when a.attgenerated <> '' then ' generated always as (' || regexp_replace(pg_get_expr(d.adbin, d.adrelid), '\\s+', ' ', 'g') || ') stored'
                   when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end as text
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where ${OURS} order by c.relname, a.attnum`

// A reference to a partitioned table has a copy per partition. From PostgreSQL 18 on "not null" is a constraint too; the column says it already.
const CONSTRAINTS = `
  select c.relname as "table", 'constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid) as text
    from pg_constraint k join pg_class c on c.oid = k.conrelid
   where ${OURS} and k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0
   order by c.relname, position(k.contype in 'pufxc'), k.conname`

const INDEXES = `
  select c.relname as "table", replace(pg_get_indexdef(i.indexrelid), 'public.', '') || ';' as text
    from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
   where ${OURS} and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
   order by c.relname, x.relname`

const COMMENTS = `
  select c.relname as "table",
         case when d.objsubid = 0 then 'comment on table ' || c.relname else 'comment on column ' || c.relname || '.' || a.attname end
           || ' is ' || quote_literal(d.description) || ';' as text
    from pg_description d join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
   where ${OURS} order by c.relname, d.objsubid`

const TRIGGERS = `
  select c.relname as "table", replace(pg_get_triggerdef(g.oid), 'public.', '') || ';' as text
    from pg_trigger g join pg_class c on c.oid = g.tgrelid
   where ${OURS} and not g.tgisinternal order by c.relname, g.tgname`

const FUNCTIONS = `
  select p.proname as "table", replace(trim(trailing E'\\n' from pg_get_functiondef(p.oid)), 'public.', '') as text
    from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname`

async function read(client: pg.Client, query: string): Promise<Line[]> {
  const { rows } = await client.query<Line>(query)
  return rows
}
