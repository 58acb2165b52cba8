import { mysqlText } from '../../credentials/credentials.ts'
import {
  unknown,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type Probe,
  type ScopeReport,
} from '../connector.ts'
import { DEFINERS_MISSING, readDefiners, readGrants, readSchemas, seesDefined } from './grants.ts'
import { mustReadTables, openSession, TABLES_MISSING, user, type Session } from './session.ts'
import { MysqlCredential, MysqlSourceSettings } from './settings.ts'
import { readPasswords, readRoles, readUsers } from './users.ts'

const ACTIVITY_MISSING: Missing = {
  what: 'who is connected now',
  why: 'the login sees only itself',
  permission: 'PROCESS',
}

const tables = { permission: 'SELECT on mysql.*', isOptional: false }
const manifest: Manifest = {
  id: 'mysql',
  version: '1',
  source: 'MariaDB 10.11 and later',
  observes: ['principal', 'credential', 'resource', 'grant', 'usage', 'usage-window'],
  reads: [
    { scope: 'server/users', gives: 'users by host, roles, locks, required TLS', ...tables },
    { scope: 'server/passwords', gives: 'kinds of proof, age, expiry, what is empty or weak', ...tables },
    { scope: 'server/roles', gives: 'who may act as which role, with admin option and default', ...tables },
    { scope: 'server/schemas', gives: 'schemas, and patterns of them in rights', ...tables },
    { scope: 'server/grants', gives: 'rights on the server, schemas, tables, columns and routines', ...tables },
    {
      scope: 'server/definers',
      gives: 'routines, events, triggers and views, and as whom they run',
      permission: 'SELECT, SHOW VIEW, EVENT and TRIGGER on *.*',
      isOptional: true,
    },
    { scope: 'server/activity', gives: 'who is connected now', permission: 'PROCESS', isOptional: true },
  ],
  writes: [],
  blindSpots: [
    'when a user was made, and that one was dropped and made again by the same name: the server keeps neither',
    'the last login of a user: only who is connected now',
    'which rights of a role come through other roles: the server lists them as its own',
    'who gave a right, and tables and columns as things of their own: rights on them name them',
    'who may act as whom by proxy, and what authentication plugins ask elsewhere (PAM, GSSAPI)',
  ],
  metadataHandling:
    'Names, hosts, rights and definers are kept. Of what proves a user only the method, and whether it is empty, leave the server. No row of a table, no body of a routine and no text of a statement is read.',
  risks: ['NHI1:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI9:2025', 'NHI10:2025'],
}

const TITLES: Readonly<Record<string, string>> = {
  'server/users': 'users and roles',
  'server/passwords': 'how users prove themselves',
  'server/roles': 'who is in which role',
  'server/schemas': 'schemas',
  'server/grants': 'rights',
  'server/definers': 'what runs by the rights of its definer',
  'server/activity': 'who is connected',
}

/** Reads users, roles, rights and definers of a MariaDB server. */
export const mysqlConnector: Connector = {
  manifest,
  settings: MysqlSourceSettings,
  credential: MysqlCredential,
  address(settings) {
    const { host, port } = MysqlSourceSettings.parse(settings)
    return `mysql://${host.includes(':') ? `[${host}]` : host}:${port}`
  },
  async open(given, signal): Promise<OpenSource> {
    const session = await openSession(given, signal)
    return {
      probe: () => probe(session),
      async *scopes() {
        for (const [scope, title] of Object.entries(TITLES)) yield { scope, title }
        return { isAll: true, missing: [] }
      },
      read(scope, since) {
        switch (scope) {
          case 'server/users':
            return readUsers(session, since)
          case 'server/passwords':
            return readPasswords(session, since)
          case 'server/roles':
            return readRoles(session, since)
          case 'server/schemas':
            return readSchemas(session, since)
          case 'server/grants':
            return readGrants(session, since)
          case 'server/definers':
            return readDefiners(session, since)
          case 'server/activity':
            return readActivity(session)
          default:
            throw new Unreadable('there is no such scope')
        }
      },
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    }
  },
}

async function probe(session: Session): Promise<Probe> {
  const [self] = await session.query('select version() as version, @@server_uid as id')
  const sees = async (work: () => Promise<unknown>) => {
    try {
      return (await work()) !== false
    } catch {
      return false
    }
  }
  const hasTables = await sees(() => mustReadTables(session, TABLES_MISSING))
  const hasDefined = await sees(() => seesDefined(session))
  const hasProcess = await sees(() => mustSeeEverybody(session))
  return {
    authority: `mysql:${mysqlText(self, 'id')}`,
    system: `MariaDB ${mysqlText(self, 'version').replaceAll(/[^\w.+~:-]/g, '')}`,
    scopes: Object.keys(TITLES).map((scope) => {
      if (scope === 'server/activity')
        return { scope, isVisible: hasProcess, missing: hasProcess ? [] : [ACTIVITY_MISSING] }
      if (scope === 'server/definers') return { scope, isVisible: true, missing: hasDefined ? [] : [DEFINERS_MISSING] }
      return { scope, isVisible: hasTables, missing: hasTables ? [] : [TABLES_MISSING] }
    }),
  }
}

/** Refused without PROCESS, where the list of connections would only be short. */
async function mustSeeEverybody(session: Session): Promise<void> {
  await session.query('select 1 as one from information_schema.innodb_trx limit 1')
}

const ACTIVITY = `
  select p.user as name, p.host as client, g.host as host
    from information_schema.processlist p join mysql.global_priv g on g.user = p.user
   where p.id <> connection_id() and coalesce(json_value(g.priv, '$.is_role'), 0) not in ('1', 'true') limit 50000`

/**
 * Who is connected now. The server keeps no last login, so this is a sample: it proves use and never the want of it. It names a connection by user
 * alone, so where a name stands at several hosts none of them is told.
 */
async function* readActivity(session: Session): AsyncGenerator<Page, ScopeReport> {
  try {
    await mustSeeEverybody(session)
  } catch {
    return { status: 'denied', missing: [ACTIVITY_MISSING] }
  }
  const isOurs = await session.given.ours()
  const rows = await session.query(ACTIVITY)
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
