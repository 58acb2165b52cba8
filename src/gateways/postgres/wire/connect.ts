import { after } from '../../../kernel/timer.ts'
import { systemRandom, type Random } from '../../../kernel/random.ts'
import { serverEndPoint } from './channel-binding.ts'
import {
  readAuthentication,
  readBackendKey,
  readNegotiation,
  readParameterStatus,
  readReport,
  type AuthenticationRequest,
} from './decode.ts'
import {
  cancelRequest,
  passwordMessage,
  protocolVersion,
  saslInitialResponse,
  saslResponse,
  startupMessage,
} from './encode.ts'
import { asUpstreamError } from './inbox.ts'
import { ScramFailure, beginScram, type ScramExchange } from './scram.ts'
import { encryptionPlan, openTransport, type Transport } from './transport.ts'
import { UpstreamError, type Upstream, type UpstreamOptions } from './upstream.ts'

const LEAST_ITERATIONS = 4096

/** Connects to a PostgreSQL server and logs in. Throws `UpstreamError`, or the signal's reason; leaves no socket behind then. */
export async function connectUpstream(
  options: UpstreamOptions,
  signal: AbortSignal,
  random: Random = systemRandom,
): Promise<Upstream> {
  const late = new AbortController()
  const slow = () => late.abort(new UpstreamError('down', 'The server did not answer in time.'))
  using _deadline = after(options.deadlineMs, slow)
  const over = AbortSignal.any([signal, late.signal])
  const plan = encryptionPlan(options.address, options.tls)
  for (const [index, encryption] of plan.entries()) {
    try {
      const transport = await openTransport(options, encryption, over)
      return await login(options, transport, over, random)
    } catch (error) {
      const mayRetry = index + 1 < plan.length && !over.aborted && isAboutEncryption(error)
      if (!mayRetry) throw error
    }
  }
  throw new Error('the plan of a connection is never empty')
}

/** pg_hba.conf may want the other kind of connection; it answers 28000 before any password was sent. */
function isAboutEncryption(error: unknown): boolean {
  return error instanceof UpstreamError && (error.fault === 'tls' || (error.fault === 'auth' && error.code === '28000'))
}

async function login(
  options: UpstreamOptions,
  transport: Transport,
  over: AbortSignal,
  random: Random,
): Promise<Upstream> {
  const onAbort = () => transport.socket.destroy()
  over.addEventListener('abort', onAbort, { once: true })
  try {
    const upstream = await startSession(options, transport, random)
    over.throwIfAborted()
    return upstream
  } catch (error) {
    transport.socket.destroy()
    throw over.aborted ? over.reason : asUpstreamError(error)
  } finally {
    over.removeEventListener('abort', onAbort)
  }
}

async function startSession(options: UpstreamOptions, transport: Transport, random: Random): Promise<Upstream> {
  const { socket, inbox } = transport
  let version = options.version ?? protocolVersion.v3_0
  const own: [string, string][] = [
    ['user', options.user],
    ['database', options.database],
  ]
  socket.write(startupMessage(version, [...own, ...(options.parameters ?? [])]))
  const authenticator = new Authenticator(options, transport, random)
  const parameters = new Map<string, string>()
  let cancelKey: Upstream['cancelKey']
  for (;;) {
    const { type, payload } = await inbox.frame()
    if (type === 'E') throw refusedBy(payload)
    if (type === 'N') continue
    if (type === 'v') version = lowered(version, readNegotiation(payload).version)
    else if (type === 'R') await authenticator.answer(readAuthentication(payload))
    else if (!authenticator.isDone) throw unexpected(type)
    else if (type === 'S') {
      const { name, value } = readParameterStatus(payload)
      parameters.set(name, value)
    } else if (type === 'K') cancelKey = readBackendKey(payload)
    else if (type === 'Z') break
    else throw unexpected(type)
  }
  inbox.settle()
  socket.pause()
  const start: Upstream['start'] = (sink) => inbox.start(socket, sink)
  return { socket, parameters, cancelKey, version, isEncrypted: transport.isEncrypted, abort: transport.abort, start }
}

/** Proves who we are, and insists on the server's proof where the mechanism has one. */
class Authenticator {
  isDone = false
  readonly #options: UpstreamOptions
  readonly #transport: Transport
  readonly #random: Random
  #scram: ScramExchange | undefined
  #hasVerified = false

  constructor(options: UpstreamOptions, transport: Transport, random: Random) {
    this.#options = options
    this.#transport = transport
    this.#random = random
  }

  async answer(request: AuthenticationRequest): Promise<void> {
    const { socket } = this.#transport
    if (this.isDone) throw unexpected('R')
    try {
      if (request.kind === 'ok') this.#finish()
      else if (request.kind === 'cleartext') socket.write(passwordMessage(this.#cleartext()))
      else if (request.kind === 'sasl') {
        this.#scram = this.#begin(request.mechanisms)
        socket.write(saslInitialResponse(this.#scram.mechanism, this.#scram.clientFirst))
      } else if (request.kind === 'sasl-continue') {
        if (!this.#scram) throw unexpected('R')
        socket.write(saslResponse(await this.#scram.clientFinal(request.data)))
      } else if (request.kind === 'sasl-final') {
        if (!this.#scram) throw unexpected('R')
        this.#scram.verify(request.data)
        this.#hasVerified = true
      } else
        throw refuse(`The server asks for ${request.name} authentication, which is not supported; use SCRAM-SHA-256.`)
    } catch (error) {
      throw error instanceof ScramFailure ? refuse(error.message) : error
    }
  }

  #begin(mechanisms: readonly string[]): ScramExchange {
    if (this.#scram) throw unexpected('R')
    const { isEncrypted, isVerified, certificate } = this.#transport
    const binding = isEncrypted ? ((certificate && serverEndPoint(certificate)) ?? 'unavailable') : undefined
    // Somebody in between could choose a certificate that cannot be bound, and so escape the binding.
    if (binding === 'unavailable' && !isVerified)
      throw refuse('The server has a certificate that cannot be bound to the login (Ed25519) and is not verified.')
    const leastIterations = this.#options.leastIterations ?? LEAST_ITERATIONS
    return beginScram({ secret: this.#password(), random: this.#random, mechanisms, binding, leastIterations })
  }

  #cleartext(): string {
    if (!this.#transport.isVerified)
      throw refuse('The server asks for the password in the clear; that is done only over verified TLS.')
    return this.#password().reveal()
  }

  #password() {
    if (!this.#options.password) throw refuse('The server asks for a password and there is none.')
    return this.#options.password
  }

  #finish(): void {
    if (this.#scram && !this.#hasVerified)
      throw refuse('The server ended the login without proving that it knows the password.')
    this.isDone = true
  }
}

function refuse(message: string): UpstreamError {
  return new UpstreamError('auth', message)
}

function refusedBy(payload: Buffer): UpstreamError {
  const { code, message } = readReport(payload)
  const fault = code.startsWith('28') ? 'auth' : 'server'
  // The server's own words are for the log only.
  return new UpstreamError(fault, `The server refused the connection (${code}).`, code, new Error(message))
}

function unexpected(type: string): UpstreamError {
  return new UpstreamError('protocol', `The server sent a message (${type}) that has no place in a login.`)
}

function lowered(asked: number, offered: number): number {
  const known: readonly number[] = [protocolVersion.v3_0, protocolVersion.v3_2]
  if (offered > asked || !known.includes(offered))
    throw new UpstreamError('protocol', 'The server offers a protocol version that nobody asked for.')
  return offered
}

/**
 * Asks a server to cancel what a connection runs, encrypted in the way that connection was. Resolves when the server has closed the
 * request; that says nothing about its success, as the protocol has no answer.
 */
export async function cancelUpstream(
  options: Pick<UpstreamOptions, 'address' | 'tls' | 'deadlineMs'>,
  cancelKey: { readonly processId: number; readonly key: Buffer },
  signal: AbortSignal,
): Promise<void> {
  const late = new AbortController()
  const slow = () => late.abort(new UpstreamError('down', 'The server did not answer in time.'))
  using _deadline = after(options.deadlineMs, slow)
  const over = AbortSignal.any([signal, late.signal])
  const { socket } = await openTransport(options, encryptionPlan(options.address, options.tls)[0], over)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.end(cancelRequest(cancelKey.processId, cancelKey.key))
  socket.resume()
  await closed
  over.throwIfAborted()
}
