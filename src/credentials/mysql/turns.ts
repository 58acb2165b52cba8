import type { TurnTaking } from '../rotation/rotator.ts'
import { LeaseFailure } from '../writer.ts'
import { actOn, leaveMark, mustBeLatest, standingOf, type Standing } from './acting.ts'
import { quoted, textIn, userAt, type MysqlRow, type MysqlUpstream } from './connection.ts'
import { hostsOf, killAll, mustSeeEverybody } from './end.ts'
import { forgetSecret } from './secret.ts'

/** Two users with the same roles and no rights of their own, so either stands in for the other. */
export const turns: TurnTaking = {
  endsSessions: true,
  prepare: (place, { like, mark, ...act }, signal) =>
    actOn(place, act, signal, async (upstream, actor) => {
      await mustBeLatest({ upstream }, act.user, mark)
      await prepare(await standingOf(upstream, like, actor), { user: act.user, like })
    }),
  allow: (place, { isAllowed, mark, secret: _secret, ...act }, signal) =>
    actOn(place, act, signal, async (upstream, actor) => {
      const standing = await standingOf(upstream, act.user, actor)
      await mustBeLatest(standing, act.user, mark)
      await upstream.run('letting it in or not', `alter user ${standing.name} account ${isAllowed ? 'unlock' : 'lock'}`)
    }),
  forget: (place, { mark, ...act }, signal) =>
    actOn(place, act, signal, async (upstream, actor) => {
      const standing = await standingOf(upstream, act.user, actor)
      await leaveMark(standing, act.user, mark)
      await mustSeeEverybody(upstream)
      await upstream.run('shutting it', `alter user ${standing.name} account lock`)
      await forgetSecret(standing)
      await killAll(upstream, act.user)
      // So that it is refused for its secret, which proves more than a lock, and its next turn begins with a user that may log in.
      await upstream.run('making it ready for its next turn', `alter user ${standing.name} account unlock`)
    }),
}

type Twins = { readonly user: string; readonly like: string }

async function prepare(standing: Standing, { user, like }: Twins): Promise<void> {
  const { upstream, host, server } = standing
  const roles = await rolesOf(standing, like)
  if (roles.length === 0) {
    throw new LeaseFailure(`${like} has no role, so another one cannot have the same rights`)
  }
  const own = await ownRights(standing, like)
  if (own > 0) {
    throw new LeaseFailure(
      `${like} holds ${own} rights of its own, which the other one would lack: give them to its role`,
    )
  }
  const name = userAt(user, host)
  const hosts = await hostsOf(upstream, user)
  if (hosts.some((each) => each !== host)) throw new LeaseFailure(`${user} stands at another host than ${like}`)
  const needs = await needsOf(upstream, like, host)
  // Without a secret it is let in by nobody as long as it is locked.
  const make = hosts.length === 0 ? `create user ${name} ${needs} account lock` : `alter user ${name} ${needs}`
  await upstream.run('making the other login', make)
  const has = await rolesOf(standing, user)
  const extra = has.filter((role) => !roles.includes(role))
  if (extra.length > 0) throw new LeaseFailure(`${user} has roles that ${like} has not: ${extra.join(', ')}`)
  if ((await ownRights(standing, user)) > 0) throw new LeaseFailure(`${user} holds rights of its own`)
  for (const role of roles.filter((each) => !has.includes(each))) {
    await upstream.run('granting the role', `grant ${role} to ${name}`)
  }
  if (server.isMariadb) {
    const [row] = await upstream.query(
      'reading its default role',
      'select default_role as role from mysql.user where user = ? and host = ?',
      [like, host],
    )
    const role = textIn(row, 'role')
    await upstream.run('setting its role', `set default role ${role === '' ? 'none' : quoted(role)} for ${name}`)
  } else {
    const rows = await upstream.query(
      'reading its default roles',
      'select default_role_user as role, default_role_host as host from mysql.default_roles where user = ? and host = ?',
      [like, host],
    )
    const list = rows.map((row) => userAt(textIn(row, 'role'), textIn(row, 'host')))
    await upstream.run(
      'setting its roles',
      `set default role ${list.length === 0 ? 'none' : list.join(', ')} to ${name}`,
    )
  }
}

/** Quoted, as they are granted. One that may be passed on is a right of its own. */
async function rolesOf({ upstream, host, server }: Standing, user: string): Promise<string[]> {
  const rows = await upstream.query(
    'reading its roles',
    server.isMariadb
      ? `select role as role, '' as host, admin_option as passes from mysql.roles_mapping where user = ? and host = ? order by 1`
      : `select from_user as role, from_host as host, with_admin_option as passes from mysql.role_edges where to_user = ? and to_host = ? order by 1, 2`,
    [user, host],
  )
  if (rows.some((row) => textIn(row, 'passes') === 'Y')) throw new LeaseFailure(`${user} may pass its roles on`)
  return rows.map((row) =>
    server.isMariadb ? quoted(textIn(row, 'role')) : userAt(textIn(row, 'role'), textIn(row, 'host')),
  )
}

const TABLES = ['db', 'tables_priv', 'columns_priv', 'procs_priv', 'proxies_priv'] as const

/** Rights that are given to the user itself, on anything. */
async function ownRights({ upstream, host }: Standing, user: string): Promise<number> {
  const each = TABLES.map((table) => `(select count(*) from mysql.${table} where user = ? and host = ?)`)
  const [row] = await upstream.query(
    'looking for rights of its own',
    `select ${each.join(' + ')} + (select count(*) from information_schema.user_privileges
       where grantee = concat('''', ?, '''@''', ?, '''') and privilege_type <> 'USAGE') as own`,
    [...TABLES.flatMap(() => [user, host]), user, host],
  )
  return Number(textIn(row, 'own'))
}

/** What it has to bring along and how much it may do, as the other one has to. */
async function needsOf(upstream: MysqlUpstream, like: string, host: string): Promise<string> {
  const [row] = await upstream.query(
    'reading how it comes in',
    `select ssl_type as tls, max_questions as questions, max_updates as updates, max_connections as connections,
            max_user_connections as atonce from mysql.user where user = ? and host = ?`,
    [like, host],
  )
  const tls = textIn(row, 'tls')
  if (tls !== '' && tls !== 'ANY') throw new LeaseFailure(`${like} needs a certificate of its own`)
  const limits = [
    `max_queries_per_hour ${count(row, 'questions')}`,
    `max_updates_per_hour ${count(row, 'updates')}`,
    `max_connections_per_hour ${count(row, 'connections')}`,
    `max_user_connections ${count(row, 'atonce')}`,
  ]
  return `require ${tls === '' ? 'none' : 'ssl'} with ${limits.join(' ')}`
}

function count(row: MysqlRow | undefined, column: string): number {
  const number = Number(textIn(row, column))
  if (!Number.isSafeInteger(number)) throw new LeaseFailure('a limit of the login is no number')
  return number
}
