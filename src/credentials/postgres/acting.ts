import pg from 'pg'
import { sha256 } from '../../kernel/crypto.ts'
import { sqlState } from '../../kernel/db.ts'
import { byTheFirst as firstOf } from '../rotation/actors.ts'
import { RecordBehind, type Act, type Place, type TargetLogin } from '../rotation/rotator.ts'
import { LeaseBusy, LeaseFailure, NotWanted } from '../writer.ts'
import { standingOf } from './role.ts'
import { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

/** First key of the advisory lock that fences one login; any fixed number does ("reer"). */
const FENCE = 0x72656572
/** Behind whatever comment somebody gave the role. */
const MARK = /\s*\[reeve rotation ([0-9a-f-]{36})\]$/

type Doing = (upstream: Upstream, settings: PostgresSettings) => Promise<void>

/** By the first of those who may. */
export function byTheFirst(place: Place, act: Act, signal: AbortSignal, doing: Doing): Promise<void> {
  const isItsOwn = ({ cause }: LeaseFailure) => sqlState(cause) !== undefined
  return firstOf(act.actors, isItsOwn, (actor) => underFence(actor, place, act, signal, doing))
}

async function underFence(
  actor: TargetLogin,
  place: Place,
  { user, isWanted }: Act,
  signal: AbortSignal,
  doing: Doing,
): Promise<void> {
  const settings = PostgresSettings.parse(place.settings)
  // Of itself it may not enter where roles are made.
  const database = actor.user === user ? databaseOf(place, settings) : settings.database
  const site = { target: place.target, settings: place.settings, provisioner: actor }
  await using upstream = await enter(site, settings, database, signal)
  const [fence] = await upstream.query<{ held: boolean }>(
    'taking the fence',
    'select pg_try_advisory_lock($1, $2) as held',
    [FENCE, sha256(user).readInt32BE(0)],
  )
  if (fence?.held !== true) throw new LeaseBusy('another attempt is under way')
  if (!(await isWanted())) throw new NotWanted('the rotation went on elsewhere')
  await standingOf(upstream)
  await doing(upstream, settings)
}

/** Throws `RecordBehind` where a later rotation than this one has been: ids sort by birth. */
export async function mustBeLatest(upstream: Upstream, user: string, mark: string): Promise<string> {
  const [row] = await upstream.query<{ comment: string | null }>(
    'reading the mark of the last rotation',
    `select shobj_description(oid, 'pg_authid') as comment from pg_roles where rolname = $1`,
    [user],
  )
  const comment = row?.comment ?? ''
  const [, last] = MARK.exec(comment) ?? []
  if (last !== undefined && last > mark) {
    throw new RecordBehind(
      'the target knows a later rotation than this one: this record is older than what lives there',
    )
  }
  return comment
}

/** Leaves the rotation at the role, behind its comment. Who may only change itself may not, and then there is no fence. */
export async function leaveMark(upstream: Upstream, user: string, mark: string): Promise<void> {
  const comment = (await mustBeLatest(upstream, user, mark)).replace(MARK, '')
  const text = `${comment}${comment === '' ? '' : ' '}[reeve rotation ${mark}]`
  try {
    await upstream.query('leaving a mark', `comment on role ${pg.escapeIdentifier(user)} is ${pg.escapeLiteral(text)}`)
  } catch (error) {
    if (!(error instanceof LeaseFailure) || sqlState(error.cause) !== '42501') throw error
  }
}

/** Where a login is tried and sees itself. */
export function databaseOf({ databases }: Place, settings: PostgresSettings): string {
  return databases[0] ?? settings.database
}
