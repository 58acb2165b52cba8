import { nativePasswordHash } from '../../kernel/crypto.ts'
import type { Random } from '../../kernel/random.ts'
import { LeaseFailure, NotWanted, type Details, type LeaseTerms, type WrittenLease } from '../writer.ts'
import { secretOf, valuesOf } from '../issued/handed.ts'
import { quoted, textIn, userAt, type MysqlUpstream } from './connection.ts'
import type { MysqlSettings } from './settings.ts'

const SECRET_BYTES = 32
/** The alphabet of secrets: none of it means anything inside of quotes. */
const SECRET = /^[A-Za-z0-9_-]{43}$/
/** What a role may be called. The server allows more; whoever needs it renames the role. */
const ROLE = /^[A-Za-z0-9_$.-]{1,32}$/
/** Names that are words of the language where a role is expected. */
const WORDS = new Set(['none', 'public', 'all', 'default', 'current_role', 'current_user'])
const FENCE_SECONDS = 10

/** Pure: the user's name, which is the lease's id in 26 signs of base 32, within the 32 that MySQL has; and its password. */
export function announceUser(random: Random, leaseId: string) {
  const id = BigInt(`0x${leaseId.replaceAll('-', '')}`)
  const principal = `reeve_${id.toString(32).padStart(26, '0')}`
  const password = random.bytes(SECRET_BYTES).toString('base64url')
  return { principal, secret: secretOf({ username: principal, password }) }
}

/** Throws for what no user can be made of. */
export function mustBeMakeable({ roles, databases }: LeaseTerms): void {
  for (const role of roles) {
    if (!ROLE.test(role) || WORDS.has(role.toLowerCase())) {
      throw new LeaseFailure('the account, or what bounds the action, is not the name of a role')
    }
  }
  // A server of this kind has no right to connect to one database only.
  if (databases.length > 0) throw new LeaseFailure('accounts here take no databases: their roles say where they act')
}

export type Server = { readonly isMariadb: boolean; readonly version: string }

export async function serverOf(upstream: MysqlUpstream): Promise<Server> {
  const [row] = await upstream.query('looking at the server', 'select version() as version')
  const version = textIn(row, 'version')
  return { isMariadb: /mariadb/i.test(version), version: version.replaceAll(/[^\w.+~:-]/g, '').slice(0, 60) }
}

/** Of the server's own locks, one per principal: held by this connection until it is gone. */
export async function takeFence(upstream: MysqlUpstream, principal: string, waitSeconds: number): Promise<boolean> {
  const [row] = await upstream.query('taking the fence', 'select get_lock(?, ?) as held', [principal, waitSeconds])
  return Number(row?.['held']) === 1
}

/**
 * Makes the user, locked until it has its roles. While the connection that makes it holds the fence nobody ends this principal, and once somebody
 * does, `isWanted` answers no: a user cannot be born after it was proven dead.
 */
export async function makeUser(
  upstream: MysqlUpstream,
  settings: MysqlSettings,
  lease: WrittenLease,
  isWanted: () => Promise<boolean>,
): Promise<Details> {
  const { principal, terms } = lease
  mustBeMakeable(terms)
  const { password = '' } = valuesOf(lease.secret)
  if (!SECRET.test(password)) throw new LeaseFailure('the secret of the lease is not one of ours')
  const server = await serverOf(upstream)
  if (!(await takeFence(upstream, principal, FENCE_SECONDS))) throw new LeaseFailure('the fence is held by somebody')
  if (!server.isMariadb) await mustBeRoles(upstream, terms.roles)
  if (!(await isWanted())) throw new NotWanted('the lease was ended before it was made')
  const user = userAt(principal, settings.from)
  const limit = Math.min(terms.connections * 2 + 4, 20_000)
  await upstream.run(
    'making the user',
    `create user ${user} identified ${proof(server, password)} require ${settings.plaintext ? 'none' : 'ssl'}
       with max_user_connections ${limit} account lock`,
  )
  for (const role of terms.roles) {
    await upstream.run(`letting it act as ${role}`, `grant ${quoted(role)} to ${user}`)
  }
  const [widest] = terms.roles
  if (widest !== undefined) {
    // MariaDB begins with one role; the others are there to be set.
    await upstream.run(
      'setting its role',
      server.isMariadb ? `set default role ${quoted(widest)} for ${user}` : `set default role all to ${user}`,
    )
  }
  await upstream.run('letting it in', `alter user ${user} account unlock`)
  return { from: settings.from, server: server.version, about: aboutOf(settings) }
}

/** MariaDB writes statements to its general log as they are, so it gets the hash; MySQL keeps passwords out of its logs and hashes better itself. */
function proof({ isMariadb }: Server, password: string): string {
  return isMariadb ? `via mysql_native_password using '${nativePasswordHash(password)}'` : `by '${password}'`
}

/** MySQL lets any user be granted as a role, a person's too. One that nobody can log in as is a role. */
async function mustBeRoles(upstream: MysqlUpstream, roles: readonly string[]): Promise<void> {
  for (const role of roles) {
    const rows = await upstream.query(
      'looking at its role',
      `select user from mysql.user where user = ? and host = '%' and account_locked = 'Y'`,
      [role],
    )
    if (rows.length === 0) throw new LeaseFailure(`${role} is no role here, or one that can log in`)
  }
}

function aboutOf({ host, port, plaintext, ca, serverName }: MysqlSettings): Record<string, string> {
  return {
    host,
    port: String(port),
    tls: plaintext ? 'none' : 'verified',
    ...(serverName !== undefined && { serverName }),
    ...(ca !== undefined && { certificateAuthority: ca }),
  }
}
