import { Socket } from 'node:net'
import pg from 'pg'
import { sqlState } from '../../kernel/db.ts'
import { boundBytes, guardData } from '../../kernel/driver-line.ts'
import type { Secret } from '../../kernel/secret.ts'
import { after } from '../../kernel/timer.ts'
import { LeaseFailure, TargetDown, type Site } from '../writer.ts'
import { ServerMessages } from './messages.ts'
import type { PostgresSettings } from './settings.ts'
import { tlsAttempts } from './tls.ts'

/** A connection to a target as its provisioner. */
export type Upstream = AsyncDisposable & {
  readonly database: string
  /** One statement. A failure becomes a `LeaseFailure` that begins with `step`, a phrase such as "making the role". */
  query<Row extends pg.QueryResultRow>(step: string, text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Several statements in one message, and the rows of each. What belongs together is between `begin` and `commit`. */
  script<Row extends pg.QueryResultRow>(step: string, statements: readonly string[]): Promise<Row[][]>
  /** Whether it was still there when last heard of. */
  isOpen(): boolean
}

const CONNECT_MS = 10_000
/** A server that is well closes its end at once; one that does not is left. */
const CLOSE_MS = 500
/** More than any catalog holds in one answer: what comes is held whole. */
const ANSWER_BYTES = 64 * 1024 * 1024
/**
 * What every connection of ours pins. `search_path`: whoever had a lease may have left functions and operators in other schemas, and the provisioner
 * may be a superuser. Locks are waited for briefly, since a retry is cheap. A session that hangs behind a dead network gives its locks back.
 */
const PINNED = [
  'set search_path = pg_catalog, pg_temp',
  "set lock_timeout = '5s'",
  "set idle_session_timeout = '60s'",
  "set idle_in_transaction_session_timeout = '60s'",
  'set tcp_keepalives_idle = 10',
].join('; ')

/** Connects as the provisioner. To the database where roles are made, any failure is a `TargetDown`. */
export async function enter(
  site: Site,
  settings: PostgresSettings,
  database: string,
  signal: AbortSignal,
): Promise<Upstream> {
  try {
    return await upstreamOf(await loginByAny(settings, site.provisioner, database, signal), database, signal)
  } catch (error) {
    signal.throwIfAborted()
    const sentence = `the target cannot be entered by its provisioner (${codeOf(error)})`
    if (database === settings.database || sqlState(error) === undefined)
      throw new TargetDown(sentence, { cause: error })
    throw new LeaseFailure(`database ${database} cannot be entered by the provisioner (${codeOf(error)})`, {
      cause: error,
    })
  }
}

/** By the secret that is known, or by what it may be since: whoever was refused in the middle of a rotation is let in by the other one. */
async function loginByAny(
  settings: PostgresSettings,
  who: Site['provisioner'],
  database: string,
  signal: AbortSignal,
): Promise<Entered> {
  try {
    return await dial(settings, who, database, signal)
  } catch (error) {
    if (sqlState(error) !== '28P01') throw error
    for (const secret of (await who.others?.()) ?? []) {
      try {
        return await dial(settings, { user: who.user, secret }, database, signal)
      } catch (again) {
        if (sqlState(again) !== '28P01') throw again
      }
    }
    throw error
  }
}

type Login = { readonly user: string; readonly secret: Secret }
/** `socket` is what lies under TLS. */
type Entered = { readonly client: pg.Client; readonly socket: Socket }

/** A bare login, by every way that the TLS mode allows; throws what the last one threw. */
export async function login(
  settings: PostgresSettings,
  who: Login,
  database: string,
  signal: AbortSignal,
): Promise<pg.Client> {
  return (await dial(settings, who, database, signal)).client
}

async function dial(settings: PostgresSettings, who: Login, database: string, signal: AbortSignal): Promise<Entered> {
  const attempts = tlsAttempts(settings)
  for (const [at, ssl] of attempts.entries()) {
    const socket = new Socket()
    const client = new pg.Client({
      stream: () => socket,
      host: settings.host,
      port: settings.port,
      user: who.user,
      password: who.secret.reveal(),
      database,
      ssl,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'reeve',
      connectionTimeoutMillis: CONNECT_MS,
    })
    // A connection that breaks between statements fails the next one; nobody else listens.
    client.on('error', () => undefined)
    const messages = new ServerMessages(ANSWER_BYTES)
    const look = (chunk: Buffer) => messages.see(chunk)
    if (ssl === false) guardData(socket, look)
    else client.connection.once('sslconnect', () => guardData(client.connection.stream, look))
    try {
      using _bound = boundBytes(socket, ANSWER_BYTES)
      await connectUnlessAborted({ client, socket }, signal)
      return { client, socket }
    } catch (error) {
      await leave({ client, socket })
      signal.throwIfAborted()
      // As libpq: the other way is tried when there is none yet or pg_hba.conf refused this one, not after a wrong password.
      const isOtherWayOpen = sqlState(error) === undefined || sqlState(error) === '28000'
      if (at === attempts.length - 1 || !isOtherWayOpen) throw error
    }
  }
  throw new Error('there is always a way to try')
}

/** Says goodbye, and waits for the other end to close only so long. */
async function leave({ client, socket }: Entered): Promise<void> {
  using _late = after(CLOSE_MS, () => socket.destroy())
  await client.end().catch(() => undefined)
}

/** SQLSTATE or the system's error code: enough to act on, and nothing of the target's own words. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return 'no code'
}

async function connectUnlessAborted({ client, socket }: Entered, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  // With an error, or the driver waits for what a silent server says.
  const giveUp = () => void socket.destroy(new Error('aborted'))
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    await client.connect()
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
  signal.throwIfAborted()
}

async function upstreamOf({ client, socket }: Entered, database: string, signal: AbortSignal): Promise<Upstream> {
  // Ending the socket is the one way to leave a statement that waits.
  const cut = () => void client.end().catch(() => undefined)
  signal.addEventListener('abort', cut, { once: true })
  let isOpen = true
  client.once('end', () => (isOpen = false))
  const ask = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    try {
      using _bound = boundBytes(socket, ANSWER_BYTES)
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      throw new LeaseFailure(`${step} failed (${codeOf(error)}${hintOf(error)})`, { cause: error })
    }
  }
  const upstream: Upstream = {
    database,
    query: <Row extends pg.QueryResultRow>(step: string, text: string, values?: readonly unknown[]) =>
      ask(step, async () => {
        const result = await client.query<Row>(text, values === undefined ? undefined : [...values])
        return result.rows
      }),
    script: <Row extends pg.QueryResultRow>(step: string, statements: readonly string[]) =>
      ask(step, async () => {
        // The driver gives a list where there was more than one statement.
        const results = [await client.query<Row>(statements.join(';\n'))].flat()
        return results.map(({ rows }) => rows)
      }),
    isOpen: () => isOpen,
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', cut)
      await leave({ client, socket })
    },
  }
  try {
    await upstream.query('preparing the connection', PINNED)
  } catch (error) {
    await upstream[Symbol.asyncDispose]()
    throw error
  }
  return upstream
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['42501', ': the provisioner lacks a right'],
  ['55P03', ': somebody holds a lock'],
  ['2BP01', ': others gave it rights'],
  ['42704', ': something it names does not exist'],
  ['25006', ': the server is read-only, perhaps a standby'],
  ['53300', ': the server has no connection to spare'],
])

function hintOf(error: unknown): string {
  return HINTS.get(codeOf(error)) ?? ''
}
