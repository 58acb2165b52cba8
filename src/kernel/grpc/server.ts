/**
 * A listener for gRPC, over the HTTP/2 of Node: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Callers send one message and get
 * one or many. Bounded in everything: messages, time, calls at once, streams of a connection, connections.
 */
import { createSecureServer, createServer } from 'node:http2'
import type {
  Http2Server,
  Http2SecureServer,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Clock } from '../clock.ts'
import { secureContext, type TlsMaterial } from '../http/listener.ts'
import type { Log } from '../log.ts'
import { every, sleep } from '../timer.ts'
import { GRPC, GrpcError, type GrpcCall, type GrpcMethod, type GrpcPeer } from './call.ts'
import { answer, answerMany, end } from './answer.ts'
import { Frames, HEAD_BYTES, takeFrame } from './frame.ts'

export type GrpcOptions = {
  /** An address and a port, or a Unix socket. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string }
  readonly tls: TlsMaterial | 'plaintext'
  /** By `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>
  readonly limits: {
    readonly messageBytes: number
    /** A call with one answer takes no longer, whatever its caller allows. */
    readonly callMs: number
    /** Calls under way on this listener. */
    readonly calls: number
    readonly streamsPerConnection: number
    readonly connections: number
  }
  /** Looks at who connects, by the number of the file that the connection is, at once. Undefined or an error: the connection is cut. */
  readonly peerOf?: (fd: number) => GrpcPeer | undefined
  readonly clock: Clock
  readonly log: Log
}

export type GrpcServer = AsyncDisposable & {
  readonly port: number
  /** Serves new connections with a renewed certificate. */
  renewTls(tls: TlsMaterial): void
}

const HEADER_BYTES = 65_536
const SESSION_MEGABYTES = 16
const IDLE_MS = 300_000
const SWEEP_MS = 50
/** What is under way when the listener closes may finish in this time. */
const DRAIN_MS = 5_000

/** Listens until disposed: no new calls then, those under way finish, and after 5 s all that is left is cut. */
export async function openGrpc(options: GrpcOptions): Promise<GrpcServer> {
  const server = serverFor(options)
  const sessions = new Set<ServerHttp2Session>()
  const calls = new Calls(options)
  server.maxConnections = options.limits.connections
  // The kernel tells when the other end of a Unix socket is gone, so a stream on it may be silent for as long as it likes.
  if ('port' in options.listen) server.setTimeout(IDLE_MS)
  server.on('session', (session: ServerHttp2Session) => {
    if (!isMet(options, session)) return session.destroy()
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', (error) => options.log.debug({ err: error }, 'a gRPC connection broke'))
    session.setTimeout(IDLE_MS, () => session.close())
  })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => calls.take(stream, headers))
  await listening(server, options.listen)
  const address = server.address()
  return {
    port: isAddress(address) ? address.port : 0,
    renewTls(tls) {
      if ('setSecureContext' in server) server.setSecureContext(secureContext(tls))
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      calls.stop()
      for (const session of sessions) session.close()
      await Promise.race([closed, sleep(DRAIN_MS)])
      for (const session of sessions) session.destroy()
      await closed
      calls[Symbol.dispose]()
    },
  }
}

/** Whether it is known who connects, where that is asked for. */
function isMet({ peerOf, log }: GrpcOptions, session: ServerHttp2Session): boolean {
  if (!peerOf) return true
  try {
    const peer = peerOf(fileOf(session.socket))
    if (!peer) return false
    met.set(session, peer)
    session.once('close', () => peer[Symbol.dispose]())
    return true
  } catch (error) {
    log.warn({ err: error }, 'who connects could not be looked at')
    return false
  }
}

const met = new WeakMap<object, GrpcPeer>()

/** The file of a socket. Node keeps it with the handle; -1 where there is none. */
function fileOf(socket: object): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  return typeof fd === 'number' ? fd : -1
}

function serverFor({ tls, limits }: GrpcOptions): Http2Server | Http2SecureServer {
  const bounds = {
    maxSessionMemory: SESSION_MEGABYTES,
    settings: {
      maxConcurrentStreams: limits.streamsPerConnection,
      maxHeaderListSize: HEADER_BYTES,
      enablePush: false,
    },
  }
  if (tls === 'plaintext') return createServer(bounds)
  const hasClientCa = tls.clientCa !== undefined
  return createSecureServer({
    ...bounds,
    ...secureContext(tls),
    allowHTTP1: false,
    // A certificate is one proof among others: without a valid one a token decides.
    requestCert: hasClientCa,
    rejectUnauthorized: false,
  })
}

function listening(server: Http2Server | Http2SecureServer, listen: GrpcOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

/** A call under way. Few methods listen for its end, so who does makes the signal. */
class Open {
  readonly stream: ServerHttp2Stream
  readonly until: number
  #gone: AbortController | undefined
  #why: Error | undefined

  constructor(stream: ServerHttp2Stream, until: number) {
    this.stream = stream
    this.until = until
  }

  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#why) this.#gone.abort(this.#why)
    return this.#gone.signal
  }

  end(why: Error): void {
    this.#why ??= why
    this.#gone?.abort(this.#why)
  }
}

type Duplex = Extract<GrpcMethod, { kind: 'duplex' }>

/** Messages of one caller that nobody listens to yet. */
const MOST_WAITING = 16
const OVER = new Error('the call is over')

/** The calls that are under way. */
class Calls implements Disposable {
  readonly #options: GrpcOptions
  readonly #open = new Set<Open>()
  readonly #sweep: Disposable
  #isStopping = false

  constructor(options: GrpcOptions) {
    this.#options = options
    // One look for all calls: a timer for each would cost more than most of them.
    this.#sweep = every(SWEEP_MS, () => this.#cutLate())
  }

  stop(): void {
    this.#isStopping = true
    for (const open of this.#open) open.end(new Error('the listener closes'))
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]()
  }

  take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', unheard)
    const method = this.#options.methods.get(headers[':path'] ?? '')
    const refused = this.#refusal(headers, method)
    if (refused) return end(stream, refused.code, refused.message)
    const { clock, limits } = this.#options
    const wanted = timeoutOf(headers['grpc-timeout'])
    const most = method?.kind === 'unary' ? Math.min(limits.callMs, wanted) : wanted
    const open = new Open(stream, clock.monotonicMs() + most)
    this.#open.add(open)
    stream.once('close', () => {
      this.#open.delete(open)
      open.end(OVER)
    })
    if (method?.kind === 'duplex') return this.#converse(method, open, headers)
    collect(stream, limits.messageBytes, (message) => {
      if (message instanceof GrpcError) end(stream, message.code, message.message)
      else if (method) void this.#run(method, callOf(open, headers, message), stream)
    })
  }

  #refusal(headers: IncomingHttpHeaders, method: GrpcMethod | undefined): GrpcError | undefined {
    if (headers[':method'] !== 'POST' || !/^application\/grpc(?:\+proto)?$/.test(headers['content-type'] ?? '')) {
      return new GrpcError(GRPC.invalidArgument, 'this is no call')
    }
    if (!method) return new GrpcError(GRPC.unimplemented, 'there is no such method')
    if (this.#isStopping || this.#open.size >= this.#options.limits.calls) {
      return new GrpcError(GRPC.unavailable, 'too many calls at once')
    }
    return undefined
  }

  /** Each message is handed on as it comes; the first one begins the call. */
  #converse(method: Duplex, open: Open, headers: IncomingHttpHeaders): void {
    const { stream } = open
    const frames = new Frames(this.#options.limits.messageBytes)
    const waiting: Buffer[] = []
    let hear: ((message: Buffer) => void) | undefined
    let hasBegun = false
    const later = {
      listen(heard: (message: Buffer) => void) {
        hear = heard
        for (const message of waiting.splice(0)) heard(message)
      },
    }
    const take = (message: Buffer) => {
      if (!hasBegun) {
        hasBegun = true
        void this.#run(
          { kind: 'stream', run: (call) => method.run(call, later) },
          callOf(open, headers, message),
          stream,
        )
      } else if (hear) hear(message)
      else if (waiting.length < MOST_WAITING) waiting.push(message)
      else throw new GrpcError(GRPC.resourceExhausted, 'too many messages at once')
    }
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const message of frames.push(chunk)) take(message)
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error
        open.end(error)
        end(stream, error.code, error.message)
      }
    })
    stream.on('end', () => (hasBegun ? open.end(OVER) : end(stream, GRPC.invalidArgument, 'a call has a message')))
  }

  async #run(method: Exclude<GrpcMethod, Duplex>, call: GrpcCall, stream: ServerHttp2Stream): Promise<void> {
    try {
      if (method.kind === 'unary') answer(stream, await method.run(call))
      else await answerMany(stream, method.run(call), call.signal)
    } catch (error) {
      if (stream.destroyed) return
      if (error instanceof GrpcError) return end(stream, error.code, error.message)
      this.#options.log.error({ err: error }, 'a gRPC call failed')
      end(stream, GRPC.internal, 'the call failed')
    }
  }

  #cutLate(): void {
    const now = this.#options.clock.monotonicMs()
    for (const open of this.#open) {
      if (open.until > now) continue
      this.#open.delete(open)
      open.end(new Error('the time is over'))
      end(open.stream, GRPC.deadlineExceeded, 'the time is over')
    }
  }
}

function callOf(open: Open, metadata: IncomingHttpHeaders, message: Buffer): GrpcCall {
  const { session } = open.stream
  const { certificate, clientAddress } = peerOf(session)
  return {
    message,
    metadata,
    certificate,
    clientAddress,
    peer: session && met.get(session),
    get signal() {
      return open.signal
    },
  }
}

type Peer = Pick<GrpcCall, 'certificate' | 'clientAddress'>
/** Who is at the other end stands from the handshake on. */
const peers = new WeakMap<object, Peer>()
const NOBODY: Peer = { certificate: undefined, clientAddress: '' }

function peerOf(session: ServerHttp2Stream['session']): Peer {
  if (!session) return NOBODY
  const known = peers.get(session)
  if (known) return known
  const { socket } = session
  const peer = {
    certificate: socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate().raw : undefined,
    clientAddress: socket.remoteAddress ?? '',
  }
  peers.set(session, peer)
  return peer
}

/** What breaks a stream ends its call, which is told by its close. */
function unheard(): void {}

/** The one message of a call, or what is wrong with what came instead. */
function collect(stream: ServerHttp2Stream, most: number, done: (message: Buffer | GrpcError) => void): void {
  const limit = most + HEAD_BYTES
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    const was = size
    size += chunk.length
    if (size <= limit) chunks.push(chunk)
    else if (was <= limit) {
      chunks.length = 0
      done(new GrpcError(GRPC.resourceExhausted, 'the message is too long'))
    }
  })
  stream.on('end', () => {
    if (size <= limit) done(takeFrame(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
  })
}

const UNITS: Readonly<Record<string, number>> = { n: 1e-6, u: 1e-3, m: 1, S: 1e3, M: 6e4, H: 3.6e6 }

/** How long the caller waits: up to eight digits and a unit. */
function timeoutOf(header: string | string[] | undefined): number {
  const [, digits, unit = ''] = /^(\d{1,8})([numSMH])$/.exec(String(header ?? '')) ?? []
  const scale = UNITS[unit]
  return digits === undefined || scale === undefined ? Infinity : Number(digits) * scale
}
