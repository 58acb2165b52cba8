import { sha256 } from '../../kernel/crypto.ts'
import { byTheFirst } from '../rotation/actors.ts'
import { RecordBehind, type Act, type Place, type TargetLogin } from '../rotation/rotator.ts'
import { LeaseBusy, LeaseFailure, NotWanted } from '../writer.ts'
import { enterMysql, errnoOf, textIn, userAt, type MysqlUpstream } from './connection.ts'
import { hostsOf } from './end.ts'
import { MysqlSettings } from './settings.ts'
import { serverOf, takeFence, type Server } from './user.ts'

/** Where the last rotation of each login is noted: users of these servers have no comment that both kinds know. */
const PLACE = 'reeve'
const NOWHERE: ReadonlySet<number> = new Set([1049, 1146])
const MAY_NOT: ReadonlySet<number> = new Set([1044, 1142, 1227])

/** A login at the server, under its fence, as one of those who may change it. */
export type Standing = {
  readonly upstream: MysqlUpstream
  readonly server: Server
  /** `user`@`host`, quoted. */
  readonly name: string
  readonly host: string
  /** It acts on itself, and may do little else. */
  readonly isItself: boolean
}

/** By the first of those who may. `doing` runs while the server's own lock on this login is held and the change is still wanted. */
export function actOn<T>(
  place: Place,
  { user, actors, isWanted }: Act,
  signal: AbortSignal,
  doing: (upstream: MysqlUpstream, actor: TargetLogin) => Promise<T>,
): Promise<T> {
  const isItsOwn = (error: LeaseFailure) => errnoOf(error) !== undefined
  return byTheFirst(actors, isItsOwn, async (actor) => {
    await using upstream = await enterMysql(MysqlSettings.parse(place.settings), actor, signal)
    const lock = `reeve rotation ${sha256(user).toString('hex').slice(0, 32)}`
    if (!(await takeFence(upstream, lock, 0))) throw new LeaseBusy('another attempt is under way')
    if (!(await isWanted())) throw new NotWanted('the rotation went on elsewhere')
    return await doing(upstream, actor)
  })
}

/** The one user of this name. Of a name at several hosts nobody can say which one is meant, and one that is left out would live on. */
export async function standingOf(upstream: MysqlUpstream, user: string, actor: TargetLogin): Promise<Standing> {
  const server = await serverOf(upstream)
  const isItself = actor.user === user
  const host = isItself ? await ownHost(upstream) : oneOf(user, await hostsOf(upstream, user))
  return { upstream, server, name: userAt(user, host), host, isItself }
}

function oneOf(user: string, hosts: readonly string[]): string {
  const [host, more] = hosts
  if (host === undefined) throw new LeaseFailure(`there is no user ${user}`)
  if (more !== undefined) throw new LeaseFailure(`${user} is the name of ${hosts.length} users, at one host each`)
  // Roles of MariaDB are users without a host.
  if (host === '') throw new LeaseFailure(`${user} is a role`)
  return host
}

async function ownHost(upstream: MysqlUpstream): Promise<string> {
  const [row] = await upstream.query('looking who it is', `select substring_index(current_user(), '@', -1) as host`)
  return textIn(row, 'host')
}

/** Throws `RecordBehind` where a later rotation than this one has been: ids sort by birth. */
export async function mustBeLatest({ upstream }: Pick<Standing, 'upstream'>, user: string, mark: string) {
  const last = await lastOf(upstream, user)
  if (last !== undefined && last > mark) {
    throw new RecordBehind(
      'the target knows a later rotation than this one: this record is older than what lives there',
    )
  }
}

/** Leaves the rotation at the server. A login that changes itself may not, and then there is no fence. */
export async function leaveMark(standing: Standing, user: string, mark: string): Promise<void> {
  const { upstream, isItself } = standing
  try {
    await mustBeLatest(standing, user, mark)
    const leave = () =>
      upstream.query(
        'leaving a mark',
        `insert into ${PLACE}.rotation (login, rotation) values (?, ?) on duplicate key update rotation = ?`,
        [user, mark, mark],
      )
    await leave().catch(async (error: unknown) => {
      if (!NOWHERE.has(errnoOf(error) ?? 0)) throw error
      await upstream.run('making a place for marks', `create database if not exists ${PLACE}`)
      await upstream.run(
        'making a place for marks',
        `create table if not exists ${PLACE}.rotation (login varchar(128) character set utf8mb4 collate utf8mb4_bin primary key,
           rotation char(36) character set ascii not null) comment 'the last rotation that changed a login'`,
      )
      await leave()
    })
  } catch (error) {
    if (!isItself || !MAY_NOT.has(errnoOf(error) ?? 0)) throw error
  }
}

async function lastOf(upstream: MysqlUpstream, user: string): Promise<string | undefined> {
  try {
    const [row] = await upstream.query(
      'reading the mark of the last rotation',
      `select rotation from ${PLACE}.rotation where login = ?`,
      [user],
    )
    return row ? textIn(row, 'rotation') : undefined
  } catch (error) {
    if (NOWHERE.has(errnoOf(error) ?? 0)) return undefined
    throw error
  }
}
