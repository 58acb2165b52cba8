import { connect as connectSocket, type Socket } from 'node:net'
import type { Connection } from 'mysql2/promise'
import { z } from 'zod'
import { LeaseFailure, TargetDown, type Site } from '../writer.ts'
import { boundBytes } from '../../kernel/driver-line.ts'
import type { Secret } from '../../kernel/secret.ts'
import { after } from '../../kernel/timer.ts'
import type { MysqlSettings } from './settings.ts'

const Rows = z.array(z.record(z.string(), z.unknown()))
export type MysqlRow = Readonly<Record<string, unknown>>
export type MysqlAddress = Pick<MysqlSettings, 'host' | 'port' | 'plaintext' | 'ca' | 'serverName'>

/** A connection to a server. */
export type MysqlUpstream = AsyncDisposable & {
  /** One statement, prepared by the server: values are never part of its text. A failure becomes a `LeaseFailure` that begins with `step`. */
  query(step: string, text: string, values?: readonly (string | number)[]): Promise<MysqlRow[]>
  /** One statement as it is, for what cannot be prepared. Names in it go through `quoted`. */
  run(step: string, text: string): Promise<void>
}

const CONNECT_MS = 10_000
const STATEMENT_MS = 20_000
/** A server that is well closes its end at once; one that does not is left. */
const CLOSE_MS = 500
/** More than any catalog holds in one answer: what comes is held whole. */
const ANSWER_BYTES = 64 * 1024 * 1024
/**
 * What every connection of ours pins. `sql_mode`: what quotes mean is not left to the server. Locks are waited for briefly, since a retry is
 * cheap, and a connection that hangs behind a dead network gives its locks back.
 */
const PINNED =
  "set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 5, wait_timeout = 60, group_concat_max_len = 65536"
/** The server knows no such login, or not with this secret (ER_ACCESS_DENIED_ERROR). */
export const REFUSED = 1045

/** A name as the server reads it whatever its `sql_mode` is: between backticks, each one inside doubled. */
export function quoted(name: string): string {
  if (name === '' || name.includes('\0')) throw new LeaseFailure('a name is empty or holds a zero byte')
  return `\`${name.replaceAll('`', '``')}\``
}

/** A column as text; empty where there is none. */
export function textIn(row: MysqlRow | undefined, column: string): string {
  const value = row?.[column]
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : ''
}

/** `user`@`host`. */
export function userAt(user: string, host: string): string {
  return `${quoted(user)}@${quoted(host)}`
}

/** Connects as the provisioner; whatever keeps us out is a `TargetDown`. */
export async function enterMysql(
  address: MysqlAddress,
  who: Site['provisioner'],
  signal: AbortSignal,
): Promise<MysqlUpstream> {
  try {
    return await upstreamOf(await loginByAny(address, who, signal), signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof LeaseFailure) throw error
    throw new TargetDown(`the target cannot be entered by its provisioner (${codeOf(error)})`, { cause: error })
  }
}

/** By the secret that is known, or by what it may be since: it may be rotated at this very moment. */
async function loginByAny(address: MysqlAddress, who: Site['provisioner'], signal: AbortSignal): Promise<Entered> {
  try {
    return await dial(address, who, signal)
  } catch (error) {
    if (errnoOf(error) !== REFUSED) throw error
    for (const secret of (await who.others?.()) ?? []) {
      try {
        return await dial(address, { user: who.user, secret }, signal)
      } catch (again) {
        if (errnoOf(again) !== REFUSED) throw again
      }
    }
    throw error
  }
}

/**
 * A bare login. The certificate is checked against the name that we were given: the socket is ours, since the driver would compare that of a bare
 * address with `localhost`. A server that asks for the secret in plain text does not get it, and no file is sent to one that asks.
 */
export async function loginMysql(address: MysqlAddress, who: Login, signal: AbortSignal): Promise<Connection> {
  return (await dial(address, who, signal)).connection
}

type Login = { readonly user: string; readonly secret: Secret }
/** `socket` is what lies under TLS. */
type Entered = { readonly connection: Connection; readonly socket: Socket }

async function dial(address: MysqlAddress, who: Login, signal: AbortSignal): Promise<Entered> {
  signal.throwIfAborted()
  const { createConnection } = await import('mysql2/promise')
  const socket = connectSocket({ host: address.host, port: address.port, keepAlive: true })
  const giveUp = () => void socket.destroy(new Error('aborted'))
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    using _bound = boundBytes(socket, ANSWER_BYTES)
    const connection = await createConnection({
      host: address.serverName ?? address.host,
      stream: () => socket,
      user: who.user,
      password: who.secret.reveal(),
      connectTimeout: CONNECT_MS,
      charset: 'utf8mb4',
      flags: ['-LOCAL_FILES'],
      disableEval: true,
      supportBigNumbers: true,
      dateStrings: true,
      ...(!address.plaintext && {
        ssl: {
          minVersion: 'TLSv1.2',
          rejectUnauthorized: true,
          verifyIdentity: true,
          ...(address.ca !== undefined && { ca: address.ca }),
        },
      }),
    })
    // A connection that breaks between statements fails the next one; nobody else listens.
    connection.on('error', () => undefined)
    return { connection, socket }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

/** What the server calls the failure by number; undefined when it was not the server's. */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  if ('errno' in error && typeof error.errno === 'number' && error.errno > 0) return error.errno
  return error.cause === undefined ? undefined : errnoOf(error.cause)
}

/** The server's or the system's code: enough to act on, and nothing of the target's own words. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no code'
  if ('code' in error && typeof error.code === 'string' && /^[A-Z0-9_]{1,60}$/.test(error.code)) return error.code
  return error.cause === undefined ? 'no code' : codeOf(error.cause)
}

async function upstreamOf({ connection, socket }: Entered, signal: AbortSignal): Promise<MysqlUpstream> {
  // Ending the socket is the one way to leave a statement that waits; with an error, or the driver tells nobody who waits.
  const cut = () => void socket.destroy(new Error('aborted'))
  signal.addEventListener('abort', cut, { once: true })
  const failing = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    try {
      using _bound = boundBytes(socket, ANSWER_BYTES)
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      throw new LeaseFailure(`${step} failed (${codeOf(error)}${hintOf(error)})`, { cause: error })
    }
  }
  const upstream: MysqlUpstream = {
    query: (step, text, values = []) =>
      failing(step, async () => {
        const [rows] = await connection.execute({ sql: text, timeout: STATEMENT_MS }, [...values])
        const parsed = Rows.safeParse(rows)
        // What changes something answers with a header.
        return parsed.success ? parsed.data : []
      }),
    run: (step, text) =>
      failing(step, async () => {
        await connection.query({ sql: text, timeout: STATEMENT_MS })
      }),
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', cut)
      using _late = after(CLOSE_MS, () => socket.destroy(new Error('closed')))
      await connection.end().catch(() => connection.destroy())
    },
  }
  try {
    await upstream.run('preparing the connection', PINNED)
  } catch (error) {
    await upstream[Symbol.asyncDispose]()
    throw error
  }
  return upstream
}

const LACKS = ': the provisioner lacks a right'
const HINTS: ReadonlyMap<number, string> = new Map([
  [1044, LACKS],
  [1045, LACKS],
  [1142, LACKS],
  [1143, LACKS],
  [1227, LACKS],
  [1396, ': there is such a user already, or no such one'],
  [1698, LACKS],
  [1959, ': there is no such role'],
  [1290, ': the server is read-only, perhaps a replica'],
  [1040, ': the server has no connection to spare'],
])

function hintOf(error: unknown): string {
  return HINTS.get(errnoOf(error) ?? 0) ?? ''
}
