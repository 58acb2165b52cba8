import { mysqlText } from '../../credentials/credentials.ts'
import {
  known,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { keyOf } from './dialects.ts'
import {
  byKey,
  halvesOf,
  mustReadTables,
  OWN,
  SERVER,
  TABLES_MISSING,
  user,
  type Row,
  type Session,
} from './session.ts'

/** All rights in one list, each by who, where and what; nothing is given as schema, table and column where it is on the whole. */
const RIGHTS = `
  select ${keyOf('grantee', 'place', 'thing', 'part', 'privilege')} as k, t.* from (
    select grantee as grantee, '' as place, '' as thing, '' as part, privilege_type as privilege, is_grantable as grantable
      from information_schema.user_privileges
    union all select grantee, table_schema, '', '', privilege_type, is_grantable from information_schema.schema_privileges
    union all select grantee, table_schema, table_name, '', privilege_type, is_grantable from information_schema.table_privileges
    union all select grantee, table_schema, table_name, column_name, privilege_type, is_grantable from information_schema.column_privileges
    union all select concat('''', user, '''@''', host, ''''), db, concat(lower(routine_type), ' ', routine_name), '', upper(proc_priv),
                     if(find_in_set('Grant', proc_priv), 'YES', 'NO') from mysql.procs_priv
  ) t`

const READS = new Set(['SELECT', 'SHOW VIEW', 'SHOW DATABASES', 'SHOW ROUTINE', 'PROCESS'])
const WRITES = new Set([
  'INSERT',
  'UPDATE',
  'DELETE',
  'CREATE',
  'DROP',
  'ALTER',
  'INDEX',
  'REFERENCES',
  'TRIGGER',
  'EVENT',
])
const ADMINS =
  /^(SUPER|CREATE USER|(CREATE|DROP) ROLE|FILE|SHUTDOWN|RELOAD|SET USER( ID)?|SET ANY DEFINER|SYSTEM USER|BINLOG .*|REPLICATION .*|.* ADMIN|CREATE TABLESPACE|GRANT)$/

/** Rights on the server, on schemas, tables, columns and routines. */
export async function* readGrants(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  await mustReadTables(session, TABLES_MISSING)
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: RIGHTS, missing: TABLES_MISSING, from }, (row) => {
    const { name, host } = halvesOf(mysqlText(row, 'grantee'))
    // USAGE is that there is a user, and no right.
    if (isOurs.has(name) || mysqlText(row, 'privilege') === 'USAGE') return []
    return [rightOf(row, user(name, host))]
  })
  return { status: 'complete', missing: [] }
}

function rightOf(row: Row, principal: NativeId): Observation {
  const privilege = mysqlText(row, 'privilege')
  const part = mysqlText(row, 'part')
  const isGrantable = mysqlText(row, 'grantable') === 'YES'
  return {
    kind: 'grant',
    id: { kind: 'privilege', id: mysqlText(row, 'k') },
    principal,
    on: placeOf(row),
    privilege,
    level: levelOf(privilege, isGrantable),
    grantable: known(isGrantable),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
    facts: { schema: mysqlText(row, 'place') || null, of: mysqlText(row, 'thing') || null, column: part || null },
  }
}

/** MySQL writes its newer rights with underscores: `ROLE_ADMIN`. */
function levelOf(written: string, isGrantable: boolean) {
  const privilege = written.replaceAll('_', ' ')
  if (isGrantable) return 'grant'
  if (ADMINS.test(privilege)) return 'admin'
  if (READS.has(privilege)) return 'read'
  return WRITES.has(privilege) || /^(CREATE|ALTER|DELETE) /.test(privilege) ? 'write' : 'use'
}

/** A schema; tables and routines are told in the facts of the right, since most of them have none of their own. */
function placeOf(row: Row): NativeId {
  const place = mysqlText(row, 'place')
  return place === '' ? SERVER : schema(place)
}
const schema = (name: string): NativeId => ({ kind: 'schema', id: name })

const SCHEMAS = `select ${keyOf('name')} as k, name from (
  select schema_name as name from information_schema.schemata
  union select db from mysql.db union select db from mysql.tables_priv union select db from mysql.procs_priv) s`

/** Schemas that there are, and patterns of names that rights were given on. */
export async function* readSchemas(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const from = since.cursor
  yield* byKey(session, { text: SCHEMAS, missing: TABLES_MISSING, from }, (row) => {
    const name = mysqlText(row, 'name')
    return [thing(schema(name), 'mysql-schema', name, SERVER, { isPattern: /(?<!\\)[%_]/.test(name) })]
  })
  return { status: 'complete', missing: [] }
}

function thing(
  id: NativeId,
  type: string,
  name: string,
  parent: NativeId,
  facts: Record<string, string | boolean | null>,
): Observation {
  const [environment, sensitivity] = [unknown('unsupported'), unknown('unsupported')]
  return { kind: 'resource', id, type, name, parent, environment, sensitivity, facts }
}

const DEFINED = `select ${keyOf('what', 'place', 'name')} as k, d.* from (
  select lower(routine_type) as what, routine_schema as place, routine_name as name, definer as definer, security_type as runs from information_schema.routines
  union all select 'event', event_schema, event_name, definer, 'DEFINER' from information_schema.events
  union all select 'trigger', trigger_schema, trigger_name, definer, 'DEFINER' from information_schema.triggers
  union all select 'view', table_schema, table_name, definer, security_type from information_schema.views) d
  where place not in ('sys', 'mysql', 'information_schema', 'performance_schema')`

/** What of the things that run by somebody's rights is not shown to this login, and by which right it would be. */
export async function definersMissing(session: Session): Promise<Missing[]> {
  const held = await rightsHeld(session)
  return session.dialect.definers.filter((right) => !held.has(right)).map(lacking)
}

const SHOWN_BY: Readonly<Record<string, string>> = {
  SELECT: 'views and routines',
  'SHOW VIEW': 'as whom views run',
  EVENT: 'events',
  TRIGGER: 'triggers',
  SHOW_ROUTINE: 'routines',
}

function lacking(right: string): Missing {
  const why = 'the server shows only those that a login could use'
  return { what: `${SHOWN_BY[right]} that the login has no right on`, why, permission: `${right} on *.*` }
}

/** Rights of this login itself on the whole server. */
async function rightsHeld(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query(
    `select privilege_type as privilege from information_schema.user_privileges where grantee = ${OWN}`,
  )
  return new Set(rows.map((row) => mysqlText(row, 'privilege')))
}

/** What runs by the rights of somebody who need not be there: its definer. */
export async function* readDefiners(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const from = since.cursor
  yield* byKey(session, { text: DEFINED, missing: TABLES_MISSING, from }, (row) => {
    const [what, place, name] = [mysqlText(row, 'what'), mysqlText(row, 'place'), mysqlText(row, 'name')]
    const definer = mysqlText(row, 'definer')
    const runsAsDefiner = mysqlText(row, 'runs') === 'DEFINER'
    const id: NativeId = { kind: 'defined', id: mysqlText(row, 'k') }
    const cut = definer.lastIndexOf('@')
    return [
      thing(id, `mysql-${what}`, `${place}.${name}`, schema(place), { securityDefiner: runsAsDefiner, definer }),
      ...(runsAsDefiner
        ? [runningAs(id, user(cut < 0 ? definer : definer.slice(0, cut), cut < 0 ? '' : definer.slice(cut + 1)))]
        : []),
    ]
  })
  const missing = await definersMissing(session)
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function runningAs(on: NativeId, principal: NativeId): Observation {
  return {
    kind: 'grant',
    id: { kind: 'definer', id: on.id },
    principal,
    on,
    privilege: 'DEFINER',
    level: 'admin',
    grantable: known(false),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
  }
}
