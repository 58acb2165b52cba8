/** A bound connection to one server: searches in pages, bounded in bytes and time, referrals not followed. */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { connect as connectSecurely, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Client, Entry } from 'ldapts'
import { isNobodys } from '../../kernel/egress-address.ts'
import { resolveBySystem } from '../../kernel/http-client.ts'
import { Denied, SlowDown, Unreadable } from '../connector.ts'
import { LdapSourceCredential, type LdapSourceSettings } from './settings.ts'

const PAGE_ENTRIES = 500
/** A page of entries with all their members; a server that sends more is cut off. */
const PAGE_BYTES = 128 * 1024 * 1024
const OPERATION_MS = 60_000
const CONNECT_MS = 15_000
/** Pages in a row that may be empty, as filters leave them. */
const EMPTY_MAX = 1_000

export type Session = {
  readonly client: Client
  /** Each page has its own measure of bytes. */
  readonly beginPage: () => void
  readonly close: () => Promise<void>
}

export type Search = {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: string
  readonly attributes: readonly string[]
}

/** Logs in over TLS, or on this machine without. */
export async function openSession(
  settings: LdapSourceSettings,
  credential: string,
  signal: AbortSignal,
): Promise<Session> {
  const { user, password } = LdapSourceCredential.parse(JSON.parse(credential))
  const { Client } = await import('ldapts')
  const { hostname, port } = new URL(settings.url.replace(/^ldap/i, 'http'))
  const host = hostname.replace(/^\[|\]$/g, '')
  const isSecure = /^ldaps:/i.test(settings.url)
  const [address] = await resolveBySystem(host)
  if (address === undefined || isNobodys(address))
    throw new Unreadable('the address of the source is one that no system has')
  const place = { host: address, port: port === '' ? (isSecure ? 636 : 389) : Number(port) }
  const tls: ConnectionOptions = {
    servername: host,
    minVersion: 'TLSv1.2',
    ...(settings.authorities !== undefined && { ca: settings.authorities }),
  }
  const line = dialer(place, tls, settings.plaintext)
  const client = new Client({
    url: settings.url,
    timeout: OPERATION_MS,
    connectTimeout: CONNECT_MS,
    // Given these, the client begins with TLS whatever the address says.
    ...(isSecure && { tlsOptions: tls }),
    createConnection: line.dial,
    createSecureConnection: line.secure,
  })
  signal.addEventListener('abort', line.cut, { once: true })
  try {
    // RFC 4513 §3.1: the password is sent after the upgrade or not at all.
    if (!isSecure && !settings.plaintext) await client.startTLS({ ...tls })
    await client.bind(user, password)
  } catch (error) {
    line.cut()
    signal.throwIfAborted()
    throw new Unreadable(
      codeOf(error) === 49 ? 'the server does not accept the login' : 'the server cannot be entered over TLS',
      { cause: error },
    )
  }
  return {
    client,
    beginPage: line.beginPage,
    async close() {
      signal.removeEventListener('abort', line.cut)
      await client.unbind().catch(() => undefined)
      line.cut()
    },
  }
}

/** Connections to the one address that was looked up, with their bytes counted where they are in clear. */
function dialer(place: { readonly host: string; readonly port: number }, tls: ConnectionOptions, isPlain: boolean) {
  const sockets = new Set<Socket>()
  let bytes = 0
  const counted = (socket: Socket) =>
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > PAGE_BYTES) socket.destroy(new Error('the answer is larger than a page of any directory'))
    })
  function dial(options: NetConnectOpts, listener?: () => void): Socket
  function dial(port: number, host?: string, listener?: () => void): Socket
  function dial(path: string, listener?: () => void): Socket
  function dial(): Socket {
    const socket = connect(place)
    sockets.add(socket)
    if (isPlain) counted(socket)
    return socket
  }
  function secure(options: ConnectionOptions, listener?: () => void): TLSSocket
  function secure(port: number, host?: string, options?: ConnectionOptions, listener?: () => void): TLSSocket
  function secure(port: number, options?: ConnectionOptions, listener?: () => void): TLSSocket
  function secure(first: ConnectionOptions | number): TLSSocket {
    const socket = connectSecurely(typeof first === 'number' ? { ...tls, ...place } : { ...tls, ...first })
    sockets.add(socket)
    counted(socket)
    return socket
  }
  return {
    dial,
    secure,
    beginPage: () => {
      bytes = 0
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Every entry, page by page (RFC 2696). What the server does not let be seen is `Denied`; its own limits are said. */
export async function* search(session: Session, asked: Search, signal: AbortSignal): AsyncGenerator<Entry[], number> {
  const { base, scope, filter, attributes } = asked
  const options = {
    scope,
    filter,
    attributes: [...attributes],
    explicitBufferAttributes: ['objectGUID', 'objectSid'],
    derefAliases: 'never' as const,
    paged: { pageSize: PAGE_ENTRIES },
  }
  let referrals = 0
  let empty = 0
  const places = new Places()
  session.beginPage()
  try {
    for await (const { searchEntries, searchReferences } of session.client.searchPaginated(base, options)) {
      signal.throwIfAborted()
      referrals += searchReferences.length
      empty = searchEntries.length === 0 ? empty + 1 : 0
      if (empty > EMPTY_MAX) throw new Unreadable('the server gives empty pages without end')
      const [first] = searchEntries
      if (first) places.step(first.dn)
      yield searchEntries
      session.beginPage()
    }
  } catch (error) {
    signal.throwIfAborted()
    throw reasonOf(error, base)
  }
  return referrals
}

/** Notices pages that go round in circles, by Brent's way: one is remembered, and moved on at each power of two. */
class Places {
  /** The root of a server has the empty name. */
  #remembered: string | undefined
  #steps = 0
  #until = 1

  step(place: string): void {
    if (place === this.#remembered) throw new Unreadable('the server gives the same pages again and again')
    this.#steps += 1
    if (this.#steps < this.#until) return
    this.#remembered = place
    this.#until *= 2
    this.#steps = 0
  }
}

function codeOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined
}

/** RFC 4511 §4.1.9. A server that hides an entry says that there is none. */
function reasonOf(error: unknown, base: string): unknown {
  switch (codeOf(error)) {
    case 32:
    case 50:
      return new Denied(
        {
          what: `what is below ${base}`,
          why: 'it is not there for this login',
          permission: `to read ${base} and what is below it`,
        },
        { cause: error },
      )
    case 1:
    case 49:
      return new Denied(
        {
          what: `what is below ${base}`,
          why: 'the server does not take the login any more',
          permission: 'a login that may search',
        },
        { cause: error },
      )
    case 3:
    case 4:
    case 11:
      return new Unreadable('the server gives no more to this login: its limit of size or time was met', {
        cause: error,
      })
    case 51:
    case 52:
      return new SlowDown(undefined, { cause: error })
    case undefined:
    default:
      return error
  }
}
