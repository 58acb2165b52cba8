import { mysqlText } from '../../credentials/credentials.ts'
import { instantAt } from '../../kernel/instant.ts'
import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { byKey, keyOf, SERVER, TABLES_MISSING, user, type Row, type Session } from './session.ts'

const at = (path: string) => `json_value(g.priv, '$.${path}')`

/** Of what proves a user nothing leaves the server but its kind, and whether it is empty. */
const USERS = `
  select ${keyOf('g.user', 'g.host')} as k, g.user as name, g.host as host, ${at('is_role')} as is_role, ${at('account_locked')} as locked,
         ${at('default_role')} as default_role, ${at('plugin')} as plugin, ${at('ssl_type')} as ssl_type,
         json_extract(g.priv, '$.auth_or[*].plugin') as others,
         coalesce(${at('authentication_string')}, '') = '' as is_empty,
         ${at('password_last_changed')} as changed, coalesce(${at('password_lifetime')}, '-1') as lifetime,
         @@default_password_lifetime as lifetime_of_all, unix_timestamp() as now
    from mysql.global_priv g`

/** Every user and role. Leases of Reeve's own are left out by name: they are on record as leases. */
export async function* readUsers(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  if (since.cursor === undefined) yield { observations: [server()] }
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: USERS, missing: TABLES_MISSING, from }, (row) =>
    isOurs.has(mysqlText(row, 'name')) ? [] : [principalOf(row)],
  )
  return { status: 'complete', missing: [] }
}

function server(): Observation {
  return {
    kind: 'resource',
    id: SERVER,
    type: 'mysql-server',
    name: 'the server',
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
  }
}

const isRole = (row: Row) => /^(1|true)$/.test(mysqlText(row, 'is_role')) || mysqlText(row, 'name') === 'PUBLIC'
const isLocked = (row: Row) => /^(1|true)$/.test(mysqlText(row, 'locked'))

// How global_priv numbers `REQUIRE`: none, SSL, X509, a certificate by its names.
const REQUIRES = ['none', 'ssl', 'x509', 'subject'] as const

function principalOf(row: Row): Observation {
  const [name, host] = [mysqlText(row, 'name'), mysqlText(row, 'host')]
  const isGroup = isRole(row)
  return {
    kind: 'principal',
    id: user(name, host),
    type: isGroup ? 'role' : 'account',
    name: isGroup ? name : `${name}@${host}`,
    state: known(isLocked(row) ? 'locked' : 'active'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: known(!isGroup),
    environment: unknown('unsupported'),
    facts: {
      canLogIn: !isGroup && !isLocked(row),
      host,
      isAnonymous: !isGroup && name === '',
      isFromEverywhere: !isGroup && isWild(host),
      requires: REQUIRES[Number(mysqlText(row, 'ssl_type')) || 0] ?? 'none',
      defaultRole: mysqlText(row, 'default_role') || null,
      isBuiltIn: name === 'mariadb.sys' || name === 'PUBLIC',
    },
  }
}

const isWild = (host: string) => host === '' || /^[%_.:/]+$/.test(host)

/** What proves a user: of which kind, how old, until when. Roles have none. */
export async function* readPasswords(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: USERS, missing: TABLES_MISSING, from }, (row) =>
    isOurs.has(mysqlText(row, 'name')) || isRole(row) ? [] : [passwordOf(row)],
  )
  return { status: 'complete', missing: [] }
}

const DAY_SECONDS = 86_400
/** What leaves nothing to guess over the network, but for a hash of SHA-1 without a salt. */
const HASHED = new Set(['mysql_native_password', 'mysql_old_password', 'ed25519', 'parsec', ''])

function passwordOf(row: Row): Observation {
  const [name, host] = [mysqlText(row, 'name'), mysqlText(row, 'host')]
  const plugins = [mysqlText(row, 'plugin') || 'mysql_native_password', ...othersOf(row)]
  const isEmpty = HASHED.has(mysqlText(row, 'plugin')) && mysqlText(row, 'is_empty') === '1'
  const requires = REQUIRES[Number(mysqlText(row, 'ssl_type')) || 0] ?? 'none'
  const expiresAt = expiryOf(row)
  const now = Number(mysqlText(row, 'now')) * 1000
  const why = [
    ...(isEmpty ? ['the password is empty'] : []),
    ...(name === '' ? ['it is anybody: the user has no name'] : []),
    ...(plugins.includes('mysql_old_password') ? ['mysql_old_password is broken'] : []),
    ...(plugins.includes('mysql_native_password') ? ['mysql_native_password is SHA-1 without a salt'] : []),
    ...(isWild(host) ? ['it may be used from everywhere'] : []),
    ...(requires === 'none' ? ['it may be used without TLS'] : []),
  ]
  const isWeak = isEmpty || name === '' || plugins.includes('mysql_old_password')
  const changed = Number(mysqlText(row, 'changed'))
  const changedAt = instantAt(changed * 1000)
  return {
    kind: 'credential',
    id: { kind: 'password', id: `${name}@${host}` },
    principal: known(user(name, host)),
    type: isEmpty ? 'none' : 'password',
    name: `login of ${name}@${host}`,
    state: known(
      isLocked(row) ? 'inactive' : expiresAt !== 'never' && expiresAt.getTime() <= now ? 'expired' : 'active',
    ),
    createdAt: unknown('unsupported'),
    rotatedAt: changed > 0 && changedAt ? known(changedAt) : unknown('unsupported'),
    expiresAt: known(expiresAt),
    // The server keeps a hash of its own.
    fingerprints: unknown('unsupported'),
    scopes: known([]),
    bindings: known([
      ...(isWild(host) ? [] : ['host' as const]),
      ...(/x509|subject/.test(requires) ? ['mtls' as const] : []),
    ]),
    strength: known(isWeak ? 'weak' : plugins.includes('mysql_native_password') ? 'deprecated' : 'strong'),
    strengthWhy: why,
    heldBy: unknown('unsupported'),
    facts: { plugins, requires },
  }
}

/** Of `IDENTIFIED VIA a OR b`, the others than the first. */
function othersOf(row: Row): string[] {
  return mysqlText(row, 'others').match(/[a-z0-9_]+/gi) ?? []
}

/** `PASSWORD EXPIRE` is a last change at the beginning of time; -1 is what holds for all, 0 is never. */
function expiryOf(row: Row): Date | 'never' {
  const changed = mysqlText(row, 'changed')
  if (changed === '0') return instantAt(0) ?? 'never'
  const own = Number(mysqlText(row, 'lifetime'))
  const days = own === -1 ? Number(mysqlText(row, 'lifetime_of_all')) : own
  if (!(days > 0) || changed === '') return 'never'
  return instantAt((Number(changed) + days * DAY_SECONDS) * 1000) ?? 'never'
}

const MEMBERS = `
  select ${keyOf('m.host', 'm.user', 'm.role')} as k, m.user as name, m.host as host, m.role as role, m.admin_option as admin,
         coalesce(json_value(g.priv, '$.default_role') = m.role, 0) as is_default
    from mysql.roles_mapping m left join mysql.global_priv g on g.user = m.user and g.host = m.host`

/** Who may act as which role, and which one a session begins with. */
export async function* readRoles(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: MEMBERS, missing: TABLES_MISSING, from }, (row) =>
    isOurs.has(mysqlText(row, 'name')) ? [] : [membership(row)],
  )
  return { status: 'complete', missing: [] }
}

function membership(row: Row): Observation {
  const [name, host, role] = [mysqlText(row, 'name'), mysqlText(row, 'host'), mysqlText(row, 'role')]
  const isAdmin = mysqlText(row, 'admin') === 'Y'
  return {
    kind: 'grant',
    id: { kind: 'membership', id: `${role}/${name}@${host}` },
    principal: user(name, host),
    on: user(role, ''),
    privilege: 'MEMBER',
    level: isAdmin ? 'grant' : 'impersonate',
    grantable: known(isAdmin),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
    facts: { admin: isAdmin, isDefault: mysqlText(row, 'is_default') === '1' },
  }
}
