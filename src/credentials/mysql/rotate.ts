import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { sleep } from '../../kernel/timer.ts'
import type { LoginRotator, Place, Retaining, Sighting, TargetLogin, Tried } from '../rotation/rotator.ts'
import { LeaseFailure, TargetDown } from '../writer.ts'
import { actOn, leaveMark, standingOf, type Standing } from './acting.ts'
import { codeOf, enterMysql, errnoOf, loginMysql, REFUSED, textIn, type MysqlUpstream } from './connection.ts'
import { killAll, mustSeeEverybody } from './end.ts'
import { setSecret } from './secret.ts'
import { MysqlSettings } from './settings.ts'
import { turns } from './turns.ts'

const SECRET_BYTES = 32
/** It was let in, and has had as many connections or statements as it may (ER_USER_LIMIT_REACHED). */
const BEHIND_THE_DOOR: ReadonlySet<number> = new Set([1226])
/** No such user or secret; no password where one is needed. */
const WRONG: ReadonlySet<number> = new Set([REFUSED, 1698])
/** A locked user, of MySQL and of MariaDB; one whose password ran out; one that was tried too often. */
const NOT_LET_IN: ReadonlySet<number> = new Set([3118, 4151, 1862, 3955, 4150])
const LOOK_MS = 20
const LOOKS_AT_PROBES = 50
const PROBE_SECONDS = 5
/** More sessions than that of one login are not told apart. */
const MOST_SEEN = 1_000

/**
 * Gives a login of MySQL or MariaDB another secret. There is one per user, unless MySQL is asked to retain the one before. The server says neither since when
 * somebody is connected nor, here, what a client calls itself.
 */
export const mysqlLoginRotator: LoginRotator = {
  protocol: 'mysql',
  make: (random: Random) => new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
  change: (place, { user, secret, mark, ...act }, signal) =>
    actOn(place, { user, ...act }, signal, async (upstream, actor) => {
      const standing = await standingOf(upstream, user, actor)
      if (mark !== undefined) await leaveMark(standing, user, mark)
      await setSecret(standing, user, secret)
    }),
  tryLogin,
  endSessions,
  turns,
  retains: retaining(),
  seen,
}

async function tryLogin(place: Place, who: TargetLogin, signal: AbortSignal): Promise<Tried> {
  const settings = MysqlSettings.parse(place.settings)
  try {
    const connection = await loginMysql(settings, who, signal)
    await connection.end().catch(() => connection.destroy())
    return { isAccepted: true }
  } catch (error) {
    signal.throwIfAborted()
    const errno = errnoOf(error)
    if (errno === undefined) throw new TargetDown(`the target cannot be reached (${codeOf(error)})`, { cause: error })
    if (BEHIND_THE_DOOR.has(errno)) return { isAccepted: true }
    if (WRONG.has(errno)) return { isAccepted: false, code: String(errno), why: 'secret' }
    if (NOT_LET_IN.has(errno)) return { isAccepted: false, code: String(errno), why: 'login' }
    throw new LeaseFailure(`trying the login gave no clear answer (${codeOf(error)})`, { cause: error })
  }
}

/** MySQL from 8.0.14. MariaDB has no second secret, and says so. */
function retaining(): Retaining {
  const mustRetain = ({ server }: Standing) => {
    if (server.isMariadb) throw new LeaseFailure('MariaDB knows one secret of a login: choose another way')
  }
  return {
    add: (place, { old: _old, secret, mark, ...act }, signal) =>
      actOn(place, act, signal, async (upstream, actor) => {
        const standing = await standingOf(upstream, act.user, actor)
        mustRetain(standing)
        // Asked under the fence: told twice, the new one would take the place of the old one.
        const tried = await tryLogin(place, { user: act.user, secret }, signal)
        if (tried.isAccepted) return
        await mustHaveRoom(standing, act.user)
        await leaveMark(standing, act.user, mark)
        await setSecret(standing, act.user, secret, ' retain current password')
      }),
    discard: (place, { mark, ...act }, signal) =>
      actOn(place, act, signal, async (upstream, actor) => {
        const standing = await standingOf(upstream, act.user, actor)
        mustRetain(standing)
        await leaveMark(standing, act.user, mark)
        await discardOld(standing)
      }),
    restore: (place, { old, mark, ...act }, signal) =>
      actOn(place, act, signal, async (upstream, actor) => {
        const standing = await standingOf(upstream, act.user, actor)
        mustRetain(standing)
        await leaveMark(standing, act.user, mark)
        await setSecret(standing, act.user, old)
        await discardOld(standing)
      }),
  }
}

function discardOld({ upstream, name, isItself }: Standing): Promise<void> {
  return upstream.run('discarding the old one', `alter user ${isItself ? 'user()' : name} discard old password`)
}

/** A second secret that stands already is somebody's, and would be cut off. Who acts on itself cannot see it. */
async function mustHaveRoom({ upstream, host, isItself }: Standing, user: string): Promise<void> {
  if (isItself) return
  const [row] = await upstream.query(
    'looking for a second secret',
    `select json_contains_path(user_attributes, 'one', '$.additional_password') as second from mysql.user where user = ? and host = ?`,
    [user, host],
  )
  if (textIn(row, 'second') === '1') {
    throw new LeaseFailure(`${user} has a second password that is not of Reeve: discard it there`)
  }
}

/** As the login itself, which sees its own and may end them. Since when they are open the server does not say, so all of them are ended. */
async function endSessions(place: Place, who: TargetLogin, _olderThanMs: number, signal: AbortSignal): Promise<number> {
  await using upstream = await enterMysql(MysqlSettings.parse(place.settings), who, signal)
  return await killAll(upstream, who.user)
}

/** Of all that are connected the provisioner sees everybody, and a login itself. */
async function seen(
  place: Place,
  actors: readonly TargetLogin[],
  users: readonly string[],
  signal: AbortSignal,
): Promise<Sighting[]> {
  let first: unknown
  for (const actor of actors.filter(({ user }) => !users.includes(user))) {
    try {
      await using upstream = await enterMysql(MysqlSettings.parse(place.settings), actor, signal)
      await mustSeeEverybody(upstream)
      let rows = await look(upstream, users)
      // Our own probes of a moment ago may still be on their way out.
      for (let at = 0; at < LOOKS_AT_PROBES && rows.some(isPerhapsProbe); at += 1) {
        await sleep(LOOK_MS, signal)
        rows = await look(upstream, users)
      }
      return rows.map(({ user, address, isFromHere }) => ({
        user,
        application: '',
        address,
        forMs: Number.POSITIVE_INFINITY,
        isFromHere,
      }))
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof LeaseFailure)) throw error
      first ??= error
    }
  }
  throw first ?? new LeaseFailure('nobody may look at the target')
}

type Row = { readonly user: string; readonly address: string; readonly isFromHere: boolean; readonly seconds: number }

function isPerhapsProbe({ isFromHere, seconds }: Row): boolean {
  return isFromHere && seconds < PROBE_SECONDS
}

async function look(upstream: MysqlUpstream, users: readonly string[]): Promise<Row[]> {
  const rows = await upstream.query(
    'looking who is connected',
    `select p.user as user, p.host as host, p.time as seconds, o.host as here
       from information_schema.processlist p join information_schema.processlist o on o.id = connection_id()
      where p.user in (${users.map(() => '?').join(', ')}) limit ${MOST_SEEN}`,
    [...users],
  )
  return rows.map((row) => {
    const address = addressIn(textIn(row, 'host'))
    return {
      user: textIn(row, 'user'),
      address,
      isFromHere: address === addressIn(textIn(row, 'here')),
      seconds: Number(textIn(row, 'seconds')),
    }
  })
}

/** `10.1.2.3:50112`, `localhost` of a socket; all of the loopback is one place. */
function addressIn(host: string): string {
  const address = host.replace(/:\d+$/, '')
  return /^(localhost|127(\.\d+){3}|::1|\[::1\])$/.test(address) ? 'localhost' : address
}
