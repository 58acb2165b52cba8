import pg from 'pg'
import { sleep } from '../../kernel/timer.ts'
import type { Place, Sighting, TargetLogin, TurnTaking } from '../rotation/rotator.ts'
import { LeaseFailure } from '../writer.ts'
import { byTheFirst, databaseOf, leaveMark, mustBeLatest } from './acting.ts'
import { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

const LOOK_MS = 20
/** About ten seconds for backends to go; then the attempt fails and is made again. */
const LOOKS = 500
/** What connections of ours are called (`upstream.ts`), and how young those are that only try a login. */
const OWN_NAME = 'reeve'
const PROBE_MS = 5_000
const LOOKS_AT_PROBES = 50
/** More sessions than that of one login are not told apart. */
const MOST_SEEN = 1_000

/** Two roles of one group. What they may do is the group's, so either stands in for the other. */
export const turns: TurnTaking = {
  endsSessions: true,
  prepare: (place, { like, mark, ...act }, signal) =>
    byTheFirst(place, act, signal, async (upstream) => {
      await mustBeLatest(upstream, act.user, mark)
      await prepare(upstream, act.user, like)
    }),
  allow: (place, { isAllowed, mark, secret: _secret, ...act }, signal) =>
    byTheFirst(place, act, signal, async (upstream) => {
      await mustBeLatest(upstream, act.user, mark)
      const name = pg.escapeIdentifier(act.user)
      await upstream.query('letting it in or not', `alter role ${name} ${isAllowed ? 'login' : 'nologin'}`)
    }),
  forget: (place, { mark, ...act }, signal) =>
    byTheFirst(place, act, signal, async (upstream) => {
      await leaveMark(upstream, act.user, mark)
      const name = pg.escapeIdentifier(act.user)
      await upstream.query('taking its secret away', `alter role ${name} nologin password null`)
      await endAll(upstream, act.user)
      // So that the next turn begins with a role that may log in, and knows no secret.
      await upstream.query('making it ready for its next turn', `alter role ${name} login`)
    }),
}

async function prepare(upstream: Upstream, user: string, like: string): Promise<void> {
  const groups = await groupsOf(upstream, like)
  if (groups.length === 0) {
    throw new LeaseFailure(`${like} is in no group role, so another one cannot have the same rights`)
  }
  const [own] = await upstream.query<{ count: number }>(
    'looking for rights of its own',
    `select count(*)::int as count from pg_shdepend
      where refclassid = 'pg_authid'::regclass and refobjid = $1::regrole and deptype in ('o', 'a')`,
    [pg.escapeIdentifier(like)],
  )
  if ((own?.count ?? 0) > 0) {
    throw new LeaseFailure(
      `${like} holds ${own?.count} rights of its own, which the other one would lack: give them to its group`,
    )
  }
  const name = pg.escapeIdentifier(user)
  const standing = await upstream.query('looking for the other login', 'select from pg_roles where rolname = $1', [
    user,
  ])
  if (standing.length === 0) await upstream.query('making the other login', `create role ${name} login`)
  const has = new Set((await groupsOf(upstream, user)).map(({ group }) => group))
  for (const { group } of groups) {
    if (!has.has(group)) await upstream.query('granting the group', `grant ${pg.escapeIdentifier(group)} to ${name}`)
  }
  const extra = [...has].filter((group) => !groups.some((each) => each.group === group))
  if (extra.length > 0) throw new LeaseFailure(`${user} is in groups that ${like} is not in: ${extra.join(', ')}`)
  await copySettings(upstream, user, like)
}

async function groupsOf(upstream: Upstream, user: string): Promise<{ group: string }[]> {
  return upstream.query<{ group: string }>(
    'reading its groups',
    `select g.rolname as group from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles r on r.oid = m.member
      where r.rolname = $1 order by 1`,
    [user],
  )
}

/** `set role`, `search_path` and the like: what a session of the first one begins with. */
async function copySettings(upstream: Upstream, user: string, like: string): Promise<void> {
  const settings = await upstream.query<{ name: string; value: string }>(
    'reading its settings',
    `select split_part(each, '=', 1) as name, substr(each, position('=' in each) + 1) as value
       from pg_roles, unnest(coalesce(rolconfig, '{}')) each where rolname = $1`,
    [like],
  )
  for (const { name, value } of settings) {
    await upstream.query(
      'copying its settings',
      `alter role ${pg.escapeIdentifier(user)} set ${pg.escapeIdentifier(name)} to ${pg.escapeLiteral(value)}`,
    )
  }
}

async function endAll(upstream: Upstream, user: string): Promise<void> {
  for (let look = 0; look < LOOKS; look += 1) {
    const alive = await upstream.query(
      'ending what it has open',
      'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()',
      [user],
    )
    if (alive.length === 0) return
    await sleep(LOOK_MS)
  }
  throw new LeaseFailure('what was opened with the old secret does not end')
}

/**
 * Of sessions of another login, the login and the name are all that everybody sees. So each actor looks, and who may look best counts: the provisioner,
 * and each login at itself. What nobody may see is told as unseen.
 */
export async function seen(
  place: Place,
  actors: readonly TargetLogin[],
  users: readonly string[],
  signal: AbortSignal,
): Promise<Sighting[]> {
  const found = new Map<number, Seen>()
  let first: unknown
  let looks = 0
  for (const actor of actors) {
    try {
      for (const row of await lookAs(place, actor, users, signal)) {
        if (row.address !== null || !found.has(row.pid)) found.set(row.pid, row)
      }
      looks += 1
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof LeaseFailure)) throw error
      first ??= error
    }
  }
  if (looks === 0) throw first ?? new LeaseFailure('nobody may look at the target')
  return [...found.values()].map(({ user, app, address, ms, here }) => ({
    user,
    application: app,
    address: address ?? undefined,
    forMs: ms ?? Number.POSITIVE_INFINITY,
    isFromHere: here,
  }))
}

async function lookAs(
  place: Place,
  actor: TargetLogin,
  users: readonly string[],
  signal: AbortSignal,
): Promise<Seen[]> {
  const settings = PostgresSettings.parse(place.settings)
  const isItself = users.includes(actor.user)
  const site = { target: place.target, settings: place.settings, provisioner: actor }
  await using upstream = await enter(site, settings, isItself ? databaseOf(place, settings) : settings.database, signal)
  let rows = await look(upstream, users)
  // Our own probes of a moment ago may still be on their way out. They are waited for and not left out by their name, which anybody may take.
  for (let at = 0; at < LOOKS_AT_PROBES && rows.some(isProbe); at += 1) {
    await sleep(LOOK_MS, signal)
    rows = await look(upstream, users)
  }
  return rows
}

type Seen = {
  readonly pid: number
  readonly user: string
  readonly app: string
  readonly address: string | null
  readonly ms: number | null
  readonly here: boolean
}

function isProbe({ app, ms }: Seen): boolean {
  return app === OWN_NAME && ms !== null && ms < PROBE_MS
}

function look(upstream: Upstream, users: readonly string[]): Promise<Seen[]> {
  // All of the loopback, and the socket, is one place. A port that is null was not shown to us.
  const local = (address: string) => `(${address} is null or ${address} <<= '127.0.0.0/8' or ${address} = '::1')`
  return upstream.query<Seen>(
    'looking who is connected',
    `select pid, usename as user, coalesce(application_name, '') as app,
            case when client_port is null then null else coalesce(host(client_addr), 'socket') end as address,
            extract(epoch from clock_timestamp() - backend_start)::float8 * 1000 as ms,
            client_port is null or client_addr is not distinct from inet_client_addr()
              or (${local('client_addr')} and ${local('inet_client_addr()')}) as here
       from pg_stat_activity where usename = any($1) and pid <> pg_backend_pid() limit ${MOST_SEEN}`,
    [users],
  )
}
