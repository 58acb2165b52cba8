/** A bound connection to one LDAP server: over TLS or on this machine, to the one address that was looked up, its answers counted in bytes. */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { connect as connectSecurely, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Client } from 'ldapts'
import { isNobodys } from './egress-address.ts'
import { resolveBySystem } from './http-client.ts'

const OPERATION_MS = 60_000
const CONNECT_MS = 15_000

/** Where it is, and how it proves itself. */
export type LdapAddress = {
  readonly url: string
  /** PEM of the authority of its certificate. */
  readonly authorities?: string | undefined
  /** No TLS: for this machine alone. */
  readonly plaintext: boolean
}

export type LdapConnection = {
  readonly client: Client
  /** From here on bytes are counted anew. */
  readonly beginAnswer: () => void
  readonly close: () => Promise<void>
}

type Entering = {
  readonly user: string
  readonly password: string
  /** A server that answers more at once is cut off. */
  readonly maxBytes: number
}

/** Whether nothing says where the server is. */
export class LdapNowhere extends Error {
  override readonly name = 'LdapNowhere'
}

/** Logs in. Throws what the server said (`ldapCode`), or why it was not reached. */
export async function openLdap(
  address: LdapAddress,
  { user, password, maxBytes }: Entering,
  signal: AbortSignal,
): Promise<LdapConnection> {
  const { Client } = await import('ldapts')
  const { hostname, port } = new URL(address.url.replace(/^ldap/i, 'http'))
  const host = hostname.replace(/^\[|\]$/g, '')
  const isSecure = /^ldaps:/i.test(address.url)
  const [found] = await resolveBySystem(host)
  if (found === undefined || isNobodys(found)) throw new LdapNowhere('the address is one that no system has')
  const place = { host: found, port: port === '' ? (isSecure ? 636 : 389) : Number(port) }
  const tls: ConnectionOptions = {
    servername: host,
    minVersion: 'TLSv1.2',
    ...(address.authorities !== undefined && { ca: address.authorities }),
  }
  const line = dialer(place, tls, { isPlain: address.plaintext, maxBytes })
  const client = new Client({
    url: address.url,
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
    if (!isSecure && !address.plaintext) await client.startTLS({ ...tls })
    await client.bind(user, password)
  } catch (error) {
    line.cut()
    signal.removeEventListener('abort', line.cut)
    throw error
  }
  return {
    client,
    beginAnswer: line.beginAnswer,
    async close() {
      signal.removeEventListener('abort', line.cut)
      await client.unbind().catch(() => undefined)
      line.cut()
    },
  }
}

/** The result code of the server (RFC 4511 §4.1.9); undefined when it was not the server's. */
export function ldapCode(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined
}

type Line = { readonly isPlain: boolean; readonly maxBytes: number }

/** Connections to the one address that was looked up, with their bytes counted where they are in clear. */
function dialer(
  place: { readonly host: string; readonly port: number },
  tls: ConnectionOptions,
  { isPlain, maxBytes }: Line,
) {
  const sockets = new Set<Socket>()
  let bytes = 0
  const counted = (socket: Socket) =>
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) socket.destroy(new Error('the answer is larger than that of any directory'))
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
    beginAnswer: () => {
      bytes = 0
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
