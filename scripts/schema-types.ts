import type pg from 'pg'

type Column = {
  table: string
  column: string
  type: string
  nullable: boolean
  fixed: boolean
  optional: boolean
  check: string | null
}

const TYPES: Record<string, string> = {
  uuid: 'string',
  text: 'string',
  boolean: 'boolean',
  smallint: 'number',
  integer: 'number',
  bigint: 'number',
  'double precision': 'number',
  'timestamp with time zone': 'Date',
  bytea: 'Buffer',
  jsonb: 'unknown',
  xid8: 'string',
  tsvector: 'string',
  int8multirange: 'string',
  tstzmultirange: 'string',
  'text[]': 'string[]',
  'uuid[]': 'string[]',
}

/** TypeScript types of every table of the schema `public`, camel-cased as Kysely's plugin does. A checked list of texts becomes a union. */
export async function schemaTypes(client: pg.Client): Promise<string> {
  const columns = await readColumns(client)
  const tables = Map.groupBy(columns, (column) => column.table)
  const lines = [
    '// Derived from the migrated database by `npm run generate`.',
    "import type { ColumnType, Generated, GeneratedAlways } from 'kysely'",
    '',
  ]
  for (const [table, members] of tables) {
    lines.push(`export type ${pascal(table)}Table = {`)
    for (const member of members) lines.push(`  ${camel(member.column)}: ${typeOf(member)}`)
    lines.push('}', '')
  }
  lines.push('export type Database = {')
  for (const table of tables.keys()) lines.push(`  ${camel(table)}: ${pascal(table)}Table`)
  lines.push('}', '')
  return lines.join('\n')
}

function typeOf(column: Column): string {
  const base = unionOf(column) ?? TYPES[column.type]
  if (!base)
    throw new Error(`${column.table}.${column.column} has type ${column.type}, which the generator does not know`)
  const whole = column.nullable ? `${base} | null` : base
  if (column.fixed) return `GeneratedAlways<${whole}>`
  if (column.type === 'jsonb')
    return `ColumnType<unknown, string${column.nullable || column.optional ? ' | null | undefined' : ''}, string>`
  return column.optional ? `Generated<${whole}>` : whole
}

/** `check (state in ('a', 'b'))` as PostgreSQL prints it back. */
function unionOf(column: Column): string | undefined {
  const list = column.check?.match(/^CHECK \(\((\w+) = ANY \(ARRAY\[(.+)\]\)\)\)$/)
  if (!list || list[1] !== column.column) return undefined
  return [...(list[2] ?? '').matchAll(/'([^']+)'::text/g)].map((match) => `'${match[1]}'`).join(' | ')
}

async function readColumns(client: pg.Client): Promise<Column[]> {
  const { rows } = await client.query<Column>(`
    select c.relname as "table", a.attname as "column", format_type(a.atttypid, null) as "type", not a.attnotnull as nullable,
           a.attidentity = 'a' or a.attgenerated <> '' as fixed,
           a.atthasdef as optional,
           (select pg_get_constraintdef(k.oid) from pg_constraint k
             where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[a.attnum]
               and pg_get_constraintdef(k.oid) like '%= ANY (ARRAY[%' limit 1) as "check"
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname not in ('schema_migration', 'schema_migration_lock', 'schema_checksum')
     order by c.relname, a.attnum`)
  return rows
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function pascal(name: string): string {
  const text = camel(name)
  return text.charAt(0).toUpperCase() + text.slice(1)
}
