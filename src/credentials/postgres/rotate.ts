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
import { LeaseFailure, TargetDown } from '../writer.ts'
import { byTheFirst, databaseOf, leaveMark } from './acting.ts'
import { PostgresSettings } from './settings.ts'
import { seen, turns } from './turns.ts'
import { codeOf, enter, login } from './upstream.ts'

const SECRET_BYTES = 32
const SALT_BYTES = 16
/** What only says that the login itself was let in: it comes after authentication. Permission to connect, no such database. */
const BEHIND_THE_DOOR = new Set(['42501', '3D000'])
const LOOK_MS = 20
/** About ten seconds for backends to go; then the attempt fails and is made again. */
const LOOKS = 500
/** A wrong password; and a login that is not let in, whatever its password (core 21). */
const WRONG_PASSWORD = '28P01'
const NOT_LET_IN = '28000'
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
  turns,
  seen,
}

function changePassword(
  place: Place,
  { user, secret, mark, ...act }: SecretChange,
  signal: AbortSignal,
): Promise<void> {
  return byTheFirst(place, { user, ...act }, signal, async (upstream, settings) => {
    if (mark !== undefined) await leaveMark(upstream, user, mark)
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
  })
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
    if (code === WRONG_PASSWORD) return { isAccepted: false, code, why: 'secret' }
    if (code === NOT_LET_IN) return { isAccepted: false, code, why: 'login' }
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
