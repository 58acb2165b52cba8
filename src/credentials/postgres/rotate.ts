import pg from 'pg'
import { scramVerifier, sha256 } from '../../kernel/crypto.ts'
import { sqlState } from '../../kernel/db.ts'
import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { sleep } from '../../kernel/timer.ts'
import {
  SecretRefused,
  type LoginRotator,
  type Place,
  type SecretChange,
  type TargetLogin,
  type Tried,
} from '../rotation/rotator.ts'
import { LeaseBusy, LeaseFailure, NotWanted, TargetDown } from '../writer.ts'
import { standingOf } from './role.ts'
import { PostgresSettings } from './settings.ts'
import { codeOf, enter, login } from './upstream.ts'

const SECRET_BYTES = 32
const SALT_BYTES = 16
/** First key of the advisory lock that fences one login; any fixed number does ("reer"). */
const FENCE = 0x72656572

/** What only says that the login itself was let in: it comes after authentication. Permission to connect, no such database. */
const BEHIND_THE_DOOR = new Set(['42501', '3D000'])
const LOOK_MS = 20
/** About ten seconds for backends to go; then the attempt fails and is made again. */
const LOOKS = 500
const WRONG_PASSWORD = '28P01'
/** What password rules answer (`passwordcheck` and its like). */
const RULED_OUT = '22023'

/**
 * Gives a login of PostgreSQL another password. There is one password per role, so the cut is sharp: whoever connects with the old one is refused
 * from that moment, whoever is connected stays. The server is sent a SCRAM verifier that was made here, so neither its log nor its
 * statistics hold the password.
 */
export const postgresLoginRotator: LoginRotator = {
  protocol: 'postgres',
  make: (random: Random) => new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
  change: changePassword,
  tryLogin,
  endSessions,
}

/** The first of those who may. Any of them failing for a reason of its own does not keep the next from trying; a server that is not there does. */
async function changePassword(place: Place, change: SecretChange, signal: AbortSignal): Promise<void> {
  let first: LeaseFailure | undefined
  for (const actor of change.actors) {
    try {
      return await changeAs(actor, place, change, signal)
    } catch (error) {
      const isItsOwn =
        error instanceof LeaseFailure &&
        !(error instanceof SecretRefused || error instanceof NotWanted || error instanceof LeaseBusy) &&
        sqlState(error.cause) !== undefined
      if (!isItsOwn) throw error
      first ??= error
    }
  }
  throw first ?? new LeaseFailure('nobody may change the secret of this login')
}

async function changeAs(
  actor: TargetLogin,
  place: Place,
  { user, secret, isWanted }: SecretChange,
  signal: AbortSignal,
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
  const verifier = await scramVerifier(
    secret,
    sha256(secret.reveal()).subarray(0, SALT_BYTES),
    settings.scramIterations,
  )
  try {
    await upstream.query(
      'changing the secret',
      `alter role ${pg.escapeIdentifier(user)} password ${pg.escapeLiteral(verifier)}`,
    )
  } catch (error) {
    if (!(error instanceof LeaseFailure) || sqlState(error.cause) !== RULED_OUT) throw error
    throw new SecretRefused(`${error.message}: the target's own rules refuse it`, { cause: error })
  }
}

async function tryLogin(place: Place, who: TargetLogin, signal: AbortSignal): Promise<Tried> {
  const settings = PostgresSettings.parse(place.settings)
  try {
    const client = await login(settings, who, databaseOf(place, settings), signal)
    await client.end()
    return { isAccepted: true }
  } catch (error) {
    signal.throwIfAborted()
    const code = sqlState(error)
    if (code === undefined) throw new TargetDown(`the target cannot be reached (${codeOf(error)})`, { cause: error })
    if (BEHIND_THE_DOOR.has(code)) return { isAccepted: true }
    if (code === WRONG_PASSWORD) return { isAccepted: false, code }
    throw new LeaseFailure(`trying the login gave no clear answer (${code})`, { cause: error })
  }
}

/** As the login itself, which sees its own sessions and may end them, whatever the provisioner may. */
async function endSessions(place: Place, who: TargetLogin, olderThanMs: number, signal: AbortSignal): Promise<number> {
  const settings = PostgresSettings.parse(place.settings)
  const site = { target: place.target, settings: place.settings, provisioner: who }
  await using upstream = await enter(site, settings, databaseOf(place, settings), signal)
  const [clock] = await upstream.query<{ since: string }>(
    'reading its clock',
    `select (clock_timestamp() - make_interval(secs => $1::double precision / 1000))::text as since`,
    [olderThanMs],
  )
  const found = new Set<number>()
  for (let look = 0; look < LOOKS; look += 1) {
    const alive = await upstream.query<{ pid: number }>(
      'ending its older sessions',
      `select pid, pg_terminate_backend(pid) from pg_stat_activity
        where usesysid = (select oid from pg_roles where rolname = session_user) and pid <> pg_backend_pid()
          and backend_start < $1::timestamptz`,
      [clock?.since],
    )
    if (alive.length === 0) return found.size
    for (const { pid } of alive) found.add(pid)
    await sleep(LOOK_MS, signal)
  }
  throw new LeaseFailure('what was opened with the old secret does not end')
}

function databaseOf({ databases }: Place, settings: PostgresSettings): string {
  return databases[0] ?? settings.database
}
