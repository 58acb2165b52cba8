import { Secret } from '../../kernel/secret.ts'
import { sleep } from '../../kernel/timer.ts'
import { reachLease } from '../fault-points.ts'
import { valuesOf } from '../issued/handed.ts'
import { LeaseBusy, LeaseFailure, type Probe, type Residue, type WrittenLease } from '../writer.ts'
import {
  codeOf,
  errnoOf,
  loginMysql,
  REFUSED,
  textIn,
  userAt,
  type MysqlAddress,
  type MysqlUpstream,
} from './connection.ts'
import { serverOf, takeFence } from './user.ts'

const LOOK_MS = 20
/** About ten seconds for connections to go; then the attempt fails and is made again. */
const LOOKS = 500
/** A connection between its login check and its first sight is invisible for a moment, so absence is believed twice. */
const ABSENT_LOOKS = 2
const GONE = 1094
const MOST_RESIDUE = 200

/** No login, no connections, no user, and again no connections: one that outlives its user keeps its rights. Every step may run again. */
export async function endUser(upstream: MysqlUpstream, { principal }: WrittenLease): Promise<Residue> {
  if (!(await takeFence(upstream, principal, 0))) throw new LeaseBusy('another attempt is under way')
  await mustSeeEverybody(upstream)
  // By every host: whoever may make users may have made one of the same name elsewhere.
  for (const host of await hostsOf(upstream, principal)) {
    await upstream.run('locking it', `alter user if exists ${userAt(principal, host)} password expire account lock`)
  }
  await reachLease('lease.nologin')
  await killAll(upstream, principal)
  await reachLease('lease.terminated')
  for (const host of await hostsOf(upstream, principal)) {
    await upstream.run('dropping the user', `drop user if exists ${userAt(principal, host)}`)
  }
  await reachLease('lease.dropped')
  await killAll(upstream, principal)
  return residueOf(upstream, principal)
}

/** Where users of this name may come from. */
export async function hostsOf(upstream: MysqlUpstream, principal: string): Promise<string[]> {
  const rows = await upstream.query('finding the user', 'select host as host from mysql.user where user = ?', [
    principal,
  ])
  return rows.map((row) => textIn(row, 'host'))
}

/** Without PROCESS a login sees nothing but itself and would take everybody for gone. This table is refused without it. */
export async function mustSeeEverybody(upstream: MysqlUpstream): Promise<void> {
  await upstream.query('looking who is connected', 'select 1 as one from information_schema.innodb_trx limit 1')
}

async function connectionsOf(upstream: MysqlUpstream, principal: string): Promise<number[]> {
  const rows = await upstream.query(
    'looking for its connections',
    'select id as id from information_schema.processlist where user = ? and id <> connection_id()',
    [principal],
  )
  return rows.map(({ id }) => Number(id)).filter((id) => Number.isSafeInteger(id) && id > 0)
}

/** Ends every connection of a user but our own. Returns how many there were. */
export async function killAll(upstream: MysqlUpstream, principal: string): Promise<number> {
  const found = new Set<number>()
  let absent = 0
  for (let look = 0; look < LOOKS; look += 1) {
    const alive = await connectionsOf(upstream, principal)
    absent = alive.length === 0 ? absent + 1 : 0
    if (absent >= ABSENT_LOOKS) return found.size
    for (const id of alive) {
      found.add(id)
      try {
        await upstream.run('ending its connections', `kill connection ${id}`)
      } catch (error) {
        if (errnoOf(error) !== GONE) throw error
      }
    }
    await sleep(LOOK_MS)
  }
  throw new LeaseFailure('its connections do not end')
}

/** What runs by the rights of a user that is gone, where it was made: nothing of it works any more, and it stays. */
const DEFINED = [
  ['routine', `select routine_schema as place, routine_name as name from information_schema.routines`, 'EXECUTE'],
  ['event', `select event_schema as place, event_name as name from information_schema.events`, 'EVENT'],
  ['trigger', `select trigger_schema as place, trigger_name as name from information_schema.triggers`, 'TRIGGER'],
  ['view', `select table_schema as place, table_name as name from information_schema.views`, 'SHOW VIEW'],
] as const

async function residueOf(upstream: MysqlUpstream, principal: string): Promise<Residue> {
  const held = await upstream.query(
    'looking at its own rights',
    `select privilege_type as privilege from information_schema.user_privileges
      where grantee = concat('''', substring_index(current_user(), '@', 1), '''@''', substring_index(current_user(), '@', -1), '''')`,
  )
  const rights = new Set(held.map((row) => textIn(row, 'privilege')))
  const appeared: Residue['appeared'][number][] = []
  const unread: string[] = []
  for (const [kind, select, right] of DEFINED) {
    if (!rights.has(right)) unread.push(`${kind}s that others cannot see, for want of ${right}`)
    const rows = await upstream.query(
      `looking for its ${kind}s`,
      `${select} where substring_index(definer, '@', 1) = ? limit ${MOST_RESIDUE}`,
      [principal],
    )
    for (const row of rows) appeared.push({ kind, where: textIn(row, 'place'), name: textIn(row, 'name') })
  }
  return { appeared, unread }
}

/** Dead means: no such user at any host, no connection of it, and its own secret opens nothing. Anything unclear throws and is looked at again. */
export async function probeUser(
  upstream: MysqlUpstream,
  address: MysqlAddress,
  lease: WrittenLease,
  signal: AbortSignal,
): Promise<Probe> {
  const { principal } = lease
  const { version } = await serverOf(upstream)
  if ((await hostsOf(upstream, principal)).length > 0) return { kind: 'alive', why: 'the user is still there' }
  await mustSeeEverybody(upstream)
  const connections = await connectionsOf(upstream, principal)
  if (connections.length > 0) return { kind: 'alive', why: 'a connection of it is still there' }
  const { password = '' } = valuesOf(lease.secret)
  try {
    const connection = await loginMysql(address, { user: principal, secret: new Secret(password) }, signal)
    connection.destroy()
    return { kind: 'alive', why: 'its login is still accepted' }
  } catch (error) {
    signal.throwIfAborted()
    if (errnoOf(error) !== REFUSED) {
      throw new LeaseFailure(`trying its login gave no clear answer (${codeOf(error)})`, { cause: error })
    }
  }
  return {
    kind: 'dead',
    evidence: {
      user: principal,
      server: version,
      absentFrom: ['mysql.user', 'processlist'],
      login: { errno: REFUSED },
    },
  }
}
