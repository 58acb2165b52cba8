import { mysqlText } from '../../credentials/credentials.ts'
import { instantAt } from '../../kernel/instant.ts'
import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { byKey, SERVER, TABLES_MISSING, user, type Row, type Session } from './session.ts'

/** Every user and role. Leases of Reeve's own are left out by name: they are on record as leases. */
export async function* readUsers(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  if (since.cursor === undefined) yield { observations: [server()] }
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: session.dialect.users, missing: TABLES_MISSING, from }, (row) =>
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

const isRole = (row: Row) => mysqlText(row, 'is_role') === '1'
const isLocked = (row: Row) => mysqlText(row, 'locked') === '1'

// As MariaDB numbers `REQUIRE` in global_priv: none, SSL, X509, a certificate by its names.
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
      isBuiltIn: /^(mariadb\.sys|mysql\.(sys|session|infoschema)|PUBLIC)$/.test(name),
    },
  }
}

const isWild = (host: string) => host === '' || /^[%_.:/]+$/.test(host)

/** What proves a user: of which kind, how old, until when. Roles have none. */
export async function* readPasswords(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: session.dialect.users, missing: TABLES_MISSING, from }, (row) =>
    isOurs.has(mysqlText(row, 'name')) || isRole(row) ? [] : [passwordOf(row)],
  )
  return { status: 'complete', missing: [] }
}

const DAY_SECONDS = 86_400
/** What leaves nothing to guess over the network, but for a hash of SHA-1 without a salt. */
const HASHED = new Set([
  'mysql_native_password',
  'mysql_old_password',
  'ed25519',
  'parsec',
  'sha256_password',
  'caching_sha2_password',
  '',
])

function passwordOf(row: Row): Observation {
  const [name, host] = [mysqlText(row, 'name'), mysqlText(row, 'host')]
  const plugins = [mysqlText(row, 'plugin') || 'mysql_native_password', ...othersOf(row)]
  const isEmpty = HASHED.has(mysqlText(row, 'plugin')) && mysqlText(row, 'is_empty') === '1'
  const isRetained = mysqlText(row, 'is_retained') === '1'
  const isDeprecated = plugins.includes('mysql_native_password') || plugins.includes('sha256_password')
  const requires = REQUIRES[Number(mysqlText(row, 'ssl_type')) || 0] ?? 'none'
  const expiresAt = expiryOf(row)
  const now = Number(mysqlText(row, 'now')) * 1000
  const why = [
    ...(isEmpty ? ['the password is empty'] : []),
    ...(name === '' ? ['it is anybody: the user has no name'] : []),
    ...(plugins.includes('mysql_old_password') ? ['mysql_old_password is broken'] : []),
    ...(plugins.includes('mysql_native_password') ? ['mysql_native_password is SHA-1 without a salt'] : []),
    ...(plugins.includes('sha256_password') ? ['sha256_password is deprecated by MySQL'] : []),
    ...(isRetained ? ['the secret before it still works'] : []),
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
    strength: known(isWeak ? 'weak' : isDeprecated ? 'deprecated' : 'strong'),
    strengthWhy: why,
    heldBy: unknown('unsupported'),
    facts: { plugins, requires, ...(isRetained && { hasSecretBefore: true }) },
  }
}

/** Of `IDENTIFIED VIA a OR b` of MariaDB, and of the factors of MySQL, the others than the first. */
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

/** Who may act as which role, which one a session begins with, and who acts as whom by proxy. */
export async function* readRoles(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  const from = since.cursor
  yield* byKey(session, { text: session.dialect.members, missing: TABLES_MISSING, from }, (row) =>
    isOurs.has(mysqlText(row, 'name')) ? [] : [membership(row)],
  )
  return { status: 'complete', missing: [] }
}

function membership(row: Row): Observation {
  const [name, host, other] = [mysqlText(row, 'name'), mysqlText(row, 'host'), mysqlText(row, 'other')]
  const isAdmin = mysqlText(row, 'admin') === 'Y'
  const isProxy = mysqlText(row, 'how') === 'PROXY'
  const on = user(other, mysqlText(row, 'other_host'))
  return {
    kind: 'grant',
    id: isProxy
      ? { kind: 'proxy', id: mysqlText(row, 'k') }
      : { kind: 'membership', id: `${on.id.replace(/@$/, '')}/${name}@${host}` },
    principal: user(name, host),
    // A proxy for a user without a name is one for everybody.
    on: isProxy && other === '' ? SERVER : on,
    privilege: isProxy ? 'PROXY' : 'MEMBER',
    level: isAdmin && !isProxy ? 'grant' : 'impersonate',
    grantable: known(isAdmin),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
    facts: isProxy
      ? { ofEverybody: other === '' }
      : { admin: isAdmin, isDefault: mysqlText(row, 'is_default') === '1' },
  }
}
