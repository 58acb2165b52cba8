/** A bound connection to one LDAP server: over TLS or on this machine, to the one address that was looked up, its answers counted in bytes. */
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net'
import { connect as connectSecurely, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { BerWriter, Client, SearchOptions, SearchResult } from 'ldapts'
import { isNobodys } from './egress-address.ts'
import { resolveBySystem } from './http-client.ts'
import { LdapMessages, LdapRefused, PAGED_RESULTS, pageValue } from './ldap-messages.ts'

export { LdapRefused } from './ldap-messages.ts'

const OPERATION_MS = 60_000
const CONNECT_MS = 15_000
const OCTET_STRING = 4
const [COMPARE_FALSE, COMPARE_TRUE] = [5, 6]

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
  /** One page of a search (RFC 2696): the first, or the one behind a cookie. It says by its own cookie whether there are more, also when it is empty. */
  readonly page: (base: string, options: SearchOptions, at: LdapCookie) => Promise<LdapPage>
  /** What the server says (RFC 4511 §4.10) when an attribute of an entry is compared: 5 or 6 where it has one, 16 where it has none. */
  readonly compare: (dn: string, attribute: string, value: string) => Promise<number>
  /** From here on bytes are counted anew. */
  readonly beginAnswer: () => void
  readonly close: () => Promise<void>
}

type LdapCookie = { readonly size: number; readonly cookie: Buffer }
type LdapPage = SearchResult & { readonly cookie: Buffer }

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
  const { Client, Control } = await import('ldapts')
  const { hostname, port } = new URL(address.url.replace(/^ldap/i, 'http'))
  const host = hostname.replace(/^\[|\]$/g, '')
  const isSecure = /^ldaps:/i.test(address.url)
  const [found] = await resolveBySystem(host)
  if (found === undefined || isNobodys(found)) throw new LdapNowhere('the address is one that no system has')
  const place = { host: found, port: port === '' ? (isSecure ? 636 : 389) : Number(port) }
  const tls: ConnectionOptions = {
    // RFC 6066 §3: an address is no name to ask for; it is held against the certificate all the same.
    ...(isIP(host) === 0 && { servername: host }),
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
  class Paging extends Control {
    readonly #at: LdapCookie

    constructor(at: LdapCookie) {
      super(PAGED_RESULTS)
      this.#at = at
    }

    protected override writeControl(writer: BerWriter): void {
      writer.writeBuffer(pageValue(this.#at.size, this.#at.cookie), OCTET_STRING)
    }
  }
  return {
    client,
    async page(base, options, at) {
      try {
        const found = await client.search(base, options, new Paging(at))
        return { ...found, cookie: line.cookie() }
      } catch (error) {
        // The library only says that the line was cut.
        throw line.refused() ?? error
      }
    },
    compare: async (dn, attribute, value) => comparedBy(client.compare(dn, attribute, value), line),
    beginAnswer: line.beginAnswer,
    async close() {
      signal.removeEventListener('abort', line.cut)
      await client.unbind().catch(() => undefined)
      line.cut()
    },
  }
}

async function comparedBy(comparing: Promise<boolean>, line: { readonly refused: () => unknown }): Promise<number> {
  try {
    return (await comparing) ? COMPARE_TRUE : COMPARE_FALSE
  } catch (error) {
    const code = ldapCode(error)
    if (code === undefined) throw line.refused() ?? error
    return code
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
  let refused: LdapRefused | undefined
  let messages = new LdapMessages()
  const counted = <S extends Socket>(socket: S): S => {
    const seen = new LdapMessages()
    messages = seen
    const push = socket.push.bind(socket)
    // Before the library hears of it: what comes is refused whole, for it would read on in what it was given.
    socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (!Buffer.isBuffer(chunk)) return push(chunk, encoding)
      bytes += chunk.length
      try {
        if (bytes > maxBytes) throw new LdapRefused('the answer is larger than that of any directory')
        seen.see(chunk)
        return push(chunk)
      } catch (error) {
        refused ??=
          error instanceof LdapRefused ? error : new LdapRefused('the answer cannot be read', { cause: error })
        socket.destroy()
        return false
      }
    }
    return socket
  }
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
    cookie: () => messages.cookie,
    refused: () => refused,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
