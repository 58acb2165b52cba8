import { mysqlText } from '../../credentials/credentials.ts'
import {
  asAsked,
  Denied,
  sourceOfParts,
  unknown,
  type Connector,
  type Given,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type Probe,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { definersMissing, readDefiners, readGrants, readSchemas } from './grants.ts'
import { mustReadTables, needing, openSession, TABLES_MISSING, user, type Session } from './session.ts'
import { MysqlCredential, MysqlSourceSettings } from './settings.ts'
import { readPasswords, readRoles, readUsers } from './users.ts'

const ACTIVITY_MISSING: Missing = {
  what: 'who is connected now',
  why: 'the login sees only itself',
  permission: 'PROCESS',
}

type Part = {
  readonly title: string
  readonly gives: string
  readonly permission: string
  readonly isOptional: boolean
  readonly read: (session: Session, since: Since) => AsyncGenerator<Page, ScopeReport>
}

const tables = { permission: 'SELECT on mysql.*', isOptional: false }
const PARTS: Readonly<Record<string, Part>> = {
  'server/users': {
    title: 'users and roles',
    gives: 'users by host, roles, locks, required TLS',
    ...tables,
    read: readUsers,
  },
  'server/passwords': {
    title: 'how users prove themselves',
    gives: 'kinds of proof, age, expiry, what is empty or weak',
    ...tables,
    read: readPasswords,
  },
  'server/roles': {
    title: 'who is in which role',
    gives: 'who may act as which role, with admin option and default, and as whom by proxy',
    ...tables,
    read: readRoles,
  },
  'server/schemas': {
    title: 'schemas',
    gives: 'schemas, and patterns of them in rights',
    ...tables,
    read: readSchemas,
  },
  'server/grants': {
    title: 'rights',
    gives: 'rights on the server, schemas, tables, columns and routines',
    ...tables,
    read: readGrants,
  },
  'server/definers': {
    title: 'what runs by the rights of its definer',
    gives: 'routines, events, triggers and views, and as whom they run',
    permission: 'SELECT, SHOW VIEW, EVENT and TRIGGER on *.*, of MySQL SHOW_ROUTINE as well',
    isOptional: true,
    read: readDefiners,
  },
  'server/activity': {
    title: 'who is connected',
    gives: 'who is connected now',
    permission: 'PROCESS, SELECT on mysql.*',
    isOptional: true,
    read: (session) => readActivity(session),
  },
}

const manifest: Manifest = {
  id: 'mysql',
  version: '1',
  source: 'MariaDB 10.11 and later, MySQL 8.0 and later',
  observes: ['principal', 'credential', 'resource', 'grant', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission, isOptional }]) => ({
    scope,
    gives,
    permission,
    isOptional,
  })),
  writes: [],
  blindSpots: [
    'when a user was made, and that one was dropped and made again by the same name: the server keeps neither',
    'the last login of a user: only who is connected now',
    'which rights of a role come through other roles: MariaDB lists them as its own',
    'roles that MySQL gives to everybody (mandatory_roles), and rights that it takes back in part (partial_revokes)',
    'who gave a right, and tables and columns as things of their own: rights on them name them',
    'what authentication plugins ask elsewhere (PAM, GSSAPI)',
  ],
  metadataHandling:
    'Names, hosts, rights and definers are kept. Of what proves a user only the method, and whether it is empty, leave the server. No row of a table, no body of a routine and no text of a statement is read.',
  risks: ['NHI1:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI9:2025', 'NHI10:2025'],
}

/** Reads users, roles, rights and definers of a MariaDB or MySQL server. */
export const mysqlConnector: Connector = {
  manifest,
  settings: MysqlSourceSettings,
  credential: MysqlCredential,
  address(settings) {
    const { host, port } = MysqlSourceSettings.parse(settings)
    return `mysql://${host.includes(':') ? `[${host}]` : host}:${port}`
  },
  open: (given, signal) => openMysql(given, {}, signal),
}

/** With a patience of a test's own. */
export async function openMysql(
  given: Given,
  patience: { readonly patienceMs?: number },
  signal: AbortSignal,
): Promise<OpenSource> {
  const session = await openSession(given, patience, signal)
  return sourceOfParts(PARTS, {
    probe: () => probe(session),
    read: (part, since) => asAsked(part.read(session, since)),
    close: () => session[Symbol.asyncDispose](),
  })
}

async function probe(session: Session): Promise<Probe> {
  const [self] = await session.query(`select ${session.dialect.uid} as id`)
  const tables = await missingBy(() => mustReadTables(session, TABLES_MISSING))
  const definers = await definersMissing(session)
  const activity = await missingBy(() => mustSeeEverybody(session))
  return {
    authority: `mysql:${mysqlText(self, 'id')}`,
    system: `${session.dialect.product} ${session.version}`,
    scopes: Object.keys(PARTS).map((scope) => {
      if (scope === 'server/definers') return { scope, isVisible: true, missing: definers }
      const missing = scope === 'server/activity' ? activity : tables
      return { scope, isVisible: missing.length === 0, missing }
    }),
  }
}

async function missingBy(look: () => Promise<void>): Promise<Missing[]> {
  try {
    await look()
    return []
  } catch (error) {
    if (error instanceof Denied) return [error.missing]
    throw error
  }
}

/** Refused without PROCESS, where the list of connections would only be short; and users are named by the server's own tables. */
async function mustSeeEverybody(session: Session): Promise<void> {
  await needing(ACTIVITY_MISSING, () => session.query('select 1 as one from information_schema.innodb_trx limit 1'))
  await mustReadTables(session, TABLES_MISSING)
}

/**
 * Who is connected now. The server keeps no last login, so this is a sample: it proves use and never the want of it. It names a connection by user
 * alone, so where a name stands at several hosts none of them is told.
 */
async function* readActivity(session: Session): AsyncGenerator<Page, ScopeReport> {
  await mustSeeEverybody(session)
  const isOurs = await session.given.ours()
  const rows = await session.query(session.dialect.activity)
  const hosts = new Map<string, Set<string>>()
  for (const row of rows) {
    const name = mysqlText(row, 'name')
    hosts.set(name, (hosts.get(name) ?? new Set()).add(mysqlText(row, 'host')))
  }
  const now = session.given.clock.now()
  const told = rows.filter(
    (row) => hosts.get(mysqlText(row, 'name'))?.size === 1 && !isOurs.has(mysqlText(row, 'name')),
  )
  yield {
    observations: [
      ...told.map((row) => ({
        kind: 'usage' as const,
        subject: user(mysqlText(row, 'name'), mysqlText(row, 'host')),
        semantics: 'session' as const,
        at: now,
        from: { address: mysqlText(row, 'client').replace(/:\d+$/, '').slice(0, 64) },
        actor: unknown('unsupported'),
      })),
      { kind: 'usage-window', semantics: 'session', sees: 'samples', from: now, to: now },
    ],
  }
  return { status: 'complete', missing: [] }
}
