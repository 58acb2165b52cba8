import type { Socket } from 'node:net'
import type { Secret } from '../../../kernel/secret.ts'

/** Where a server listens. */
export type Address = { readonly host: string; readonly port: number } | { readonly socketPath: string }

/** As libpq names them (sslmode). A Unix socket is never encrypted, whatever the mode, as with libpq. */
const tlsModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
type TlsMode = (typeof tlsModes)[number]

export type TlsChoice = {
  readonly mode: TlsMode
  /** `direct` starts with a ClientHello, which PostgreSQL 17 and later understand; the modes from `require` on only. */
  readonly negotiation?: 'postgres' | 'direct'
  /** PEM. With it `require` verifies the chain, as libpq does; without it the verifying modes use the system's roots. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: Secret
  /** The name in the server's certificate, where it is not the host's. */
  readonly serverName?: string
}

export type UpstreamOptions = {
  readonly address: Address
  readonly tls: TlsChoice
  readonly user: string
  readonly database: string
  readonly password?: Secret
  /** Sent as they are, beside user and database. */
  readonly parameters?: ReadonlyMap<string, string>
  /** 196608 unless told: poolers in front of older servers refuse 3.2. */
  readonly version?: number
  readonly deadlineMs: number
  /** 4096 unless told; less only for random secrets that were stored so. */
  readonly leastIterations?: number
  /** Memory that plain connections read into; ignored with TLS. */
  readonly readBuffer?: Buffer | (() => Buffer)
}

/** Gets what the server sends; `bytes[0, length)` may be reused memory. False stops reading until `socket.resume()`. */
export type Sink = (bytes: Buffer, length: number) => boolean

/** A connection that is ready for its first query. */
export type Upstream = {
  readonly socket: Socket
  /** Every ParameterStatus so far. */
  readonly parameters: ReadonlyMap<string, string>
  readonly cancelKey: { readonly processId: number; readonly key: Buffer } | undefined
  readonly version: number
  readonly isEncrypted: boolean
  /** Drops the connection at once: what was sent and not yet read by the server is lost, where the system can do that (a TCP reset). */
  abort(): void
  /** Nothing is read until this is called; what came behind ReadyForQuery is delivered first. */
  start(sink: Sink): void
}

/**
 * Why there is no connection. `down`: nobody answers there; `tls`: no acceptable encryption; `auth`: it refuses us (or we would
 * not prove ourselves in the way it asks); `server`: it answered with another error; `protocol`: it is not PostgreSQL, or broken.
 */
export type UpstreamFault = 'down' | 'tls' | 'auth' | 'server' | 'protocol'

export class UpstreamError extends Error {
  readonly fault: UpstreamFault
  /** The server's own SQLSTATE, where it gave one. */
  readonly code: string | undefined

  constructor(fault: UpstreamFault, message: string, code?: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'UpstreamError'
    this.fault = fault
    this.code = code
  }
}
