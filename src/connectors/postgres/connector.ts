import {
  asAsked,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
  type Since,
} from '../connector.ts'
import { ACTIVITY_MISSING, readActivity } from './activity.ts'
import { HBA_PERMISSION, hbaMissing, readDatabase, readDatabases, readHba } from './databases.ts'
import { readLog } from './log.ts'
import { PASSWORDS_MISSING, readMemberships, readPasswords, readRoles } from './roles.ts'
import { CONNECT_MISSING, needing, openSession, type Session } from './session.ts'
import { PostgresCredential, PostgresSourceSettings } from './settings.ts'

const manifest: Manifest = {
  id: 'postgres',
  version: '1',
  source: 'PostgreSQL 15 and later',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage', 'usage-window'],
  reads: [
    {
      scope: 'cluster/roles',
      gives: 'roles and what they may do by their attributes',
      permission: 'a login',
      isOptional: false,
    },
    {
      scope: 'cluster/memberships',
      gives: 'who is in which role, with admin, inherit and set',
      permission: 'a login',
      isOptional: false,
    },
    {
      scope: 'cluster/databases',
      gives: 'databases, their owners, who may connect or create',
      permission: 'a login',
      isOptional: false,
    },
    {
      scope: 'cluster/passwords',
      gives: 'kind and expiry of passwords',
      permission: PASSWORDS_MISSING.permission,
      isOptional: true,
    },
    {
      scope: 'cluster/hba',
      gives: 'by which methods roles log in, from where',
      permission: HBA_PERMISSION,
      isOptional: true,
    },
    {
      scope: 'cluster/activity',
      gives: 'who is connected now',
      permission: ACTIVITY_MISSING.permission,
      isOptional: true,
    },
    {
      scope: 'cluster/log',
      gives: 'logins and audited statements',
      permission: 'reading the log file; log_connections or pgaudit',
      isOptional: true,
    },
    {
      scope: 'database/*',
      gives: 'schemas, relations, columns, functions, servers: owners, rights, default privileges',
      permission: 'CONNECT on the database, a line of pg_hba.conf',
      isOptional: true,
    },
  ],
  writes: [],
  blindSpots: [
    'when a password was set: PostgreSQL does not keep it',
    'the last login of a role: only what is connected now, or what the log says',
    'rights inside of functions and extensions, and rows that policies let through',
    'rights on types, languages, large objects and subscriptions',
    'user mappings of foreign servers, which may hold passwords of other systems',
  ],
  metadataHandling:
    'Names, comments on roles and access lists are kept. Of password verifiers only their kind and iterations leave the server. No row of a table and no text of a statement is read.',
  risks: ['NHI1:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI9:2025', 'NHI10:2025'],
}

/** Reads roles, rights and logins of a PostgreSQL cluster, database by database. */
export const postgresConnector: Connector = {
  manifest,
  settings: PostgresSourceSettings,
  credential: PostgresCredential,
  address(settings) {
    const { host, port } = PostgresSourceSettings.parse(settings)
    return host.startsWith('/')
      ? `postgres://${encodeURIComponent(host)}:${port}`
      : `postgres://${host.includes(':') ? `[${host}]` : host}:${port}`
  },
  open: (given, signal) => openPostgres(given, {}, signal),
}

/** With a patience of a test's own. */
export async function openPostgres(
  given: Given,
  patience: { readonly patienceMs?: number },
  signal: AbortSignal,
): Promise<OpenSource> {
  const session = await openSession(given, patience, signal)
  return {
    probe: () => probe(session),
    scopes: () => scopes(session),
    read: (scope, since, until) => asAsked(readScope(session, scope, since, until)),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}

function readScope(
  session: Session,
  scope: string,
  since: Since,
  until: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const oid = /^database\/(\d+)$/.exec(scope)?.[1]
  if (oid !== undefined) return readDatabase(session, oid, since, until)
  switch (scope) {
    case 'cluster/roles':
      return readRoles(session, since)
    case 'cluster/memberships':
      return readMemberships(session)
    case 'cluster/databases':
      return readDatabases(session, since)
    case 'cluster/passwords':
      return readPasswords(session, since)
    case 'cluster/hba':
      return readHba(session)
    case 'cluster/activity':
      return readActivity(session)
    case 'cluster/log':
      return readLog(session, since, until)
    default:
      throw new Unreadable('there is no such scope')
  }
}

type Database = { oid: number; name: string; allows: boolean; may: boolean }

const ALL_DATABASES = `
  select d.oid::bigint as oid, d.datname::text as name, d.datallowconn as allows, has_database_privilege(d.oid, 'CONNECT') as may
    from pg_database d order by d.oid`

async function* scopes(session: Session): AsyncGenerator<ScopeRef, ScopesReport> {
  yield { scope: 'cluster/roles', title: 'roles' }
  yield { scope: 'cluster/memberships', title: 'memberships of roles' }
  yield { scope: 'cluster/databases', title: 'databases' }
  yield { scope: 'cluster/passwords', title: 'passwords, without their values' }
  yield { scope: 'cluster/hba', title: 'how roles log in' }
  yield { scope: 'cluster/activity', title: 'who is connected' }
  yield { scope: 'cluster/log', title: 'logins and statements in the log', isFeed: true }
  for (const { oid, name } of await session.query<Database>(ALL_DATABASES))
    yield { scope: `database/${oid}`, title: `database ${name}` }
  return { isAll: true, missing: [] }
}

type Self = { system: string; identifier: string; passwords: boolean; stats: boolean }

/** Asks the server what this login may see. */
async function probe(session: Session) {
  const identity = {
    what: 'which cluster this is',
    why: 'the login may not ask',
    permission: 'EXECUTE on pg_catalog.pg_control_system()',
  }
  const [self] = await needing(identity, () =>
    session.query<Self>(`
      select 'PostgreSQL ' || current_setting('server_version') as system, (pg_control_system()).system_identifier::text as identifier,
             has_table_privilege('pg_catalog.pg_authid', 'SELECT') as passwords,
             pg_has_role('pg_read_all_stats', 'USAGE') as stats`),
  )
  if (typeof self?.identifier !== 'string') throw new Unreadable('the cluster did not say what it is')
  const always = ['cluster/roles', 'cluster/memberships', 'cluster/databases'].map((scope) => ({
    scope,
    isVisible: true,
    missing: [],
  }))
  const databases = await session.query<Database>(ALL_DATABASES)
  const hba = await hbaMissing(session)
  const all: ProbedScope[] = [
    ...always,
    { scope: 'cluster/passwords', isVisible: self.passwords, missing: self.passwords ? [] : [PASSWORDS_MISSING] },
    { scope: 'cluster/hba', isVisible: hba.length === 0, missing: hba },
    { scope: 'cluster/activity', isVisible: true, missing: self.stats ? [] : [ACTIVITY_MISSING] },
    logScope(session),
    ...databases.map(databaseScope),
  ]
  return { authority: `postgres:${self.identifier}`, system: self.system, scopes: all }
}

function logScope(session: Session): ProbedScope {
  if (session.settings.log) return { scope: 'cluster/log', isVisible: true, missing: [] }
  const missing = {
    what: 'logins and audited statements',
    why: 'no log file was given',
    permission: 'settings.log with a file this node can read',
  }
  return { scope: 'cluster/log', isVisible: false, missing: [missing] }
}

function databaseScope({ oid, allows, may }: Database): ProbedScope {
  const scope = `database/${oid}`
  if (allows && may) return { scope, isVisible: true, missing: [] }
  const closed = { what: CONNECT_MISSING.what, why: 'it allows no connections at all' }
  if (!allows) return { scope, isVisible: false, missing: [closed] }
  return { scope, isVisible: false, missing: [CONNECT_MISSING] }
}
