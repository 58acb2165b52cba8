import {
  Denied,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { aclJson, grantsOn, type AclItem } from './privileges.ts'
import { byOid, CLUSTER, database, PAGE_ROWS, type Entered, type Session } from './session.ts'

type Thing = {
  oid: number
  name: string
  type: string
  owner: number
  acl: AclItem[]
  facts?: Record<string, string | boolean | null>
}

const DATABASES = `
  select d.oid as oid, d.datname::text as name, 'postgres-database' as type, d.datdba as owner,
         ${aclJson('d.datacl', { kind: 'd', owner: 'd.datdba' })} as acl, json_build_object('allowsConnections', d.datallowconn) as facts
    from pg_database d where d.oid > $1 order by d.oid limit ${PAGE_ROWS}`

/** The databases, who owns them, and who may connect or create there; rights on parameters of the server, from 15 on. */
export async function* readDatabases(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  if (since.cursor === undefined) {
    const parameters = await session.query<{ name: string; acl: AclItem[] }>(
      `select p.parname as name, ${aclJson('p.paracl')} as acl from pg_parameter_acl p order by 1`,
    )
    if (parameters.length > 0) yield { observations: parameters.flatMap(parameterOf) }
  }
  yield* byOid(
    since.cursor,
    (after) => session.query<Thing>(DATABASES, [after]),
    (row) => thing(row, database(row.oid), CLUSTER),
  )
  return { status: 'complete', missing: [] }
}

function parameterOf({ name, acl }: { name: string; acl: AclItem[] }): Observation[] {
  const id = { kind: 'parameter', id: name }
  return [resource(id, { type: 'postgres-parameter', name }, CLUSTER), ...grantsOn({ on: id }, acl)]
}

function thing(row: Thing, id: NativeId, parent: NativeId): Observation[] {
  return [resource(id, row, parent), ...grantsOn({ on: id, owner: row.owner }, row.acl)]
}

function resource(
  id: NativeId,
  { type, name, facts = {} }: Pick<Thing, 'type' | 'name' | 'facts'>,
  parent: NativeId,
): Observation {
  return {
    kind: 'resource',
    id,
    type,
    name,
    parent,
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
    facts,
  }
}

/** Access lists as the server was born with them say nothing of anybody's decision. */
const NOT_BORN_SO = (catalog: string, oid: string, acl: string) =>
  `not exists (select from pg_init_privs i where i.classoid = '${catalog}'::regclass and i.objoid = ${oid} and i.objsubid = 0 and i.initprivs = ${acl})`

/** What is read in each database, in this order; the cursor names the part and the last oid in it. */
const PARTS: readonly {
  readonly name: string
  readonly kind: string
  readonly parent: string | undefined
  readonly sql: string
}[] = [
  {
    name: 'schemas',
    kind: 'schema',
    parent: undefined,
    sql: `
      select n.oid as oid, n.nspname::text as name, 'postgres-schema' as type, n.nspowner as owner,
             ${aclJson('n.nspacl', { kind: 'n', owner: 'n.nspowner' })} as acl
        from pg_namespace n where n.oid > $1 and n.nspname !~ '^pg_(toast|temp)' order by n.oid limit ${PAGE_ROWS}`,
  },
  {
    name: 'relations',
    kind: 'relation',
    parent: 'schema',
    sql: `
      select c.oid as oid, n.nspname || '.' || c.relname as name, c.relnamespace as parent, c.relowner as owner,
             case c.relkind when 'v' then 'postgres-view' when 'm' then 'postgres-view' when 'S' then 'postgres-sequence'
                            when 'f' then 'postgres-foreign-table' else 'postgres-table' end as type,
             ${aclJson('c.relacl', { kind: 'r', owner: 'c.relowner' })} as acl, json_build_object('rowSecurity', c.relrowsecurity) as facts
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.oid > $1 and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname !~ '^pg_(toast|temp)'
         and (n.nspname not in ('pg_catalog', 'information_schema')
              or n.nspname = 'pg_catalog' and c.relacl is not null and ${NOT_BORN_SO('pg_class', 'c.oid', 'c.relacl')}
              or exists (select from aclexplode(c.relacl) a where a.grantee not in (0, c.relowner)
                          and (n.nspname = 'information_schema')))
       order by c.oid limit ${PAGE_ROWS}`,
  },
  {
    name: 'functions',
    kind: 'function',
    parent: 'schema',
    // Of functions only what was decided: a list of its own, or running with the owner's rights.
    sql: `
      select p.oid as oid, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name,
             p.pronamespace as parent, p.proowner as owner, 'postgres-function' as type,
             ${aclJson('p.proacl', { kind: 'f', owner: 'p.proowner' })} as acl, json_build_object('securityDefiner', p.prosecdef) as facts
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where p.oid > $1 and n.nspname !~ '^pg_temp'
         and (p.proacl is not null and ${NOT_BORN_SO('pg_proc', 'p.oid', 'p.proacl')}
              or p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema'))
       order by p.oid limit ${PAGE_ROWS}`,
  },
  {
    name: 'servers',
    kind: 'foreign-server',
    parent: undefined,
    sql: `
      select s.oid as oid, s.srvname::text as name, 'postgres-foreign-server' as type, s.srvowner as owner,
             ${aclJson('s.srvacl', { kind: 'S', owner: 's.srvowner' })} as acl
        from pg_foreign_server s where s.oid > $1 order by s.oid limit ${PAGE_ROWS}`,
  },
]

type InDatabase = Thing & { parent?: number }
type Column = { oid: number; column: string; number: number; acl: AclItem[] }
type Default = { oid: number; role: number; schema: number; objects: string; acl: AclItem[] }

const COLUMNS = `
  select c.oid as oid, a.attname::text as "column", a.attnum::int as number, ${aclJson('a.attacl')} as acl
    from pg_attribute a join pg_class c on c.oid = a.attrelid
   where a.attacl is not null and not a.attisdropped and not exists (
           select from pg_init_privs i where i.classoid = 'pg_class'::regclass and i.objoid = c.oid and i.objsubid = a.attnum and i.initprivs = a.attacl)
   order by c.oid, a.attnum`

const DEFAULTS = `
  select d.oid as oid, d.defaclrole as role, d.defaclnamespace as schema, d.defaclobjtype::text as objects,
         ${aclJson('d.defaclacl')} as acl
    from pg_default_acl d order by d.oid`

/** Everything in one database that rights are held on, with who owns it and who may what. */
export async function* readDatabase(
  session: Session,
  oid: string,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const [found] = await session.query<{ name: string; allows: boolean }>(
    'select datname::text as name, datallowconn as allows from pg_database where oid = $1',
    [oid],
  )
  if (!found)
    return { status: 'partial', missing: [{ what: 'the database', why: 'it was dropped while it was being read' }] }
  if (!found.allows) {
    return {
      status: 'unsupported',
      missing: [{ what: 'everything in this database', why: 'it allows no connections at all' }],
    }
  }
  await using entered = await session.enter(found.name, signal)
  const [begin, after] = (since.cursor ?? '').split(':')
  const from = Math.max(
    0,
    PARTS.findIndex(({ name }) => name === begin),
  )
  for (const part of PARTS.slice(from)) yield* readPart(entered, oid, part, part.name === begin ? after : undefined)
  yield* readRest(entered, oid)
  return { status: 'complete', missing: [] }
}

async function* readPart(
  entered: Entered,
  oid: string,
  part: (typeof PARTS)[number],
  after: string | undefined,
): AsyncGenerator<Page, void> {
  const pages = byOid(
    after,
    (last) => entered.query<InDatabase>(part.sql, [last]),
    (row) => {
      const parent =
        part.parent !== undefined && row.parent !== undefined
          ? { kind: part.parent, id: `${oid}/${row.parent}` }
          : database(oid)
      return thing(row, { kind: part.kind, id: `${oid}/${row.oid}` }, parent)
    },
  )
  for await (const page of pages) yield { ...page, cursor: `${part.name}:${page.cursor}` }
}

async function* readRest(entered: Entered, oid: string): AsyncGenerator<Page, void> {
  const columns = await entered.query<Column>(COLUMNS)
  for (let at = 0; at < columns.length; at += PAGE_ROWS) {
    yield {
      observations: columns
        .slice(at, at + PAGE_ROWS)
        .flatMap((row) =>
          grantsOn({ on: { kind: 'relation', id: `${oid}/${row.oid}` }, facts: { column: row.column } }, row.acl),
        ),
    }
  }
  const defaults = await entered.query<Default>(DEFAULTS)
  if (defaults.length > 0) yield { observations: defaults.flatMap((row) => defaultsOf(row, oid)) }
}

const OBJECTS: Readonly<Record<string, string>> = {
  r: 'tables',
  S: 'sequences',
  f: 'functions',
  T: 'types',
  n: 'schemas',
  L: 'large objects',
}

/** Rights that things will be born with: on the schema, or the whole database, for what one role makes there. */
function defaultsOf({ oid, role, schema, objects, acl }: Default, inDatabase: string): Observation[] {
  const on = schema === 0 ? database(inDatabase) : { kind: 'schema', id: `${inDatabase}/${schema}` }
  return grantsOn({ on }, acl).map((grant) =>
    grant.kind === 'grant'
      ? {
          ...grant,
          id: { kind: 'default-privilege', id: `${inDatabase}/${oid}/${grant.id.id}` },
          privilege: `DEFAULT ${grant.privilege}`,
          facts: { futureObjectsOf: String(role), objects: OBJECTS[objects] ?? objects },
        }
      : grant,
  )
}

type HbaRow = {
  rule: number
  type: string | null
  database: string[] | null
  users: string[] | null
  address: string | null
  netmask: string | null
  method: string | null
  options: string[] | null
  broken: boolean
}

const HBA_RIGHTS = {
  rules: 'SELECT on pg_catalog.pg_hba_file_rules',
  reading: 'EXECUTE on pg_catalog.pg_hba_file_rules()',
} as const
export const HBA_PERMISSION = `${HBA_RIGHTS.rules}, ${HBA_RIGHTS.reading}`

/** Which of both rights the login lacks. */
export async function hbaMissing(session: Session): Promise<Missing[]> {
  const [held] = await session.query<{ rules: boolean; reading: boolean }>(`
    select has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT') as rules,
           has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE') as reading`)
  const lacks = (['rules', 'reading'] as const).filter((right) => !held?.[right]).map((right) => HBA_RIGHTS[right])
  if (lacks.length === 0) return []
  const what = 'by which methods roles may log in, from where'
  return [{ what, why: 'the login may not read pg_hba_file_rules', permission: lacks.join(', ') }]
}

/** The lines of pg_hba.conf, each as what the cluster believes. A line has no id: it is the same as long as its words are. */
export async function* readHba(session: Session): AsyncGenerator<Page, ScopeReport> {
  const [denied] = await hbaMissing(session)
  if (denied) throw new Denied(denied)
  const rows = await session.query<HbaRow>(`
    select h.line_number as rule, h.type, h.database, h.user_name as users, h.address, h.netmask, h.auth_method as method, h.options,
           h.error is not null as broken
      from pg_hba_file_rules h order by h.line_number`)
  const seen = new Map<string, number>()
  const observations = rows
    .filter(({ broken }) => !broken)
    .map((row) => {
      const words = [row.type, row.database, row.users, row.address, row.netmask, row.method, row.options].map((word) =>
        JSON.stringify(word),
      )
      const times = (seen.get(words.join(' ')) ?? 0) + 1
      seen.set(words.join(' '), times)
      return hbaOf(row, `${words.join(' ')} ${times}`)
    })
  if (observations.length > 0) yield { observations }
  const broken = rows.length - observations.length
  const missing = broken > 0 ? [{ what: `${broken} lines of pg_hba.conf`, why: 'the server cannot read them' }] : []
  return { status: broken > 0 ? 'partial' : 'complete', missing }
}

function hbaOf(row: HbaRow, id: string): Observation {
  const users = row.users ?? []
  const claims = {
    method: [row.method ?? ''],
    type: [row.type ?? ''],
    database: row.database ?? [],
    user: users,
    ...(row.address !== null && { address: [row.netmask === null ? row.address : `${row.address} ${row.netmask}`] }),
  }
  return {
    kind: 'trust',
    id: { kind: 'hba-rule', id },
    from: { issuer: `pg_hba ${row.method ?? ''}`, claims },
    to: CLUSTER,
    wildcard: users.includes('all'),
    facts: { order: row.rule, method: row.method, options: row.options ?? [] },
  }
}
