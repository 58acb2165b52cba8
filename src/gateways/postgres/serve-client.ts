import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { after } from '../../kernel/timer.ts'
import { Refused, type Admission, type Ending, type LiveSession, type Plane } from '../gateway.ts'
import type { CancelEntry, CancelKeys } from './cancel-keys.ts'
import { FAULT } from './endings.ts'
import { arrive, PeerGone, type Arrived } from './first-bytes.ts'
import { proofOf, type Trust } from './prove.ts'
import { ReadMemory } from './read-memory.ts'
import { PostgresSession } from './session.ts'
import { PostgresSettings, upstreamOf } from './settings.ts'
import type { Analyser } from './sql/analyse.ts'
import { cancelUpstream, connectUpstream } from './wire/connect.ts'
import { authenticationOk, backendKeyData, errorResponse, parameterStatus, readyForQuery } from './wire/encode.ts'
import { settleStartup, type StartupRequest } from './wire/startup.ts'
import { UpstreamError, type Upstream, type UpstreamOptions } from './wire/upstream.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** A session that can be told to end. */
export type Live = Pick<PostgresSession, 'end' | 'drain' | 'checkIdle'>

export type ClientParts = {
  readonly plane: Plane
  readonly analyser: Analyser
  readonly cancelKeys: CancelKeys
  readonly live: Set<Live>
  readonly context: SecureContext
  readonly trust: Trust
  readonly socket: Socket
  /** Called once the caller is known. */
  readonly onKnown: () => void
  /** Fires with an `Ending` when the gateway stops. */
  readonly stopping: AbortSignal
}

/** PostgreSQL's own authentication_timeout is a minute; a ticket or a certificate needs no person. */
const ARRIVE_MS = 15_000
/** A lease may have to be made at a slow target. */
const ADMIT_MS = 30_000
const UPSTREAM_MS = 10_000
const CANCEL_MS = 5_000
/** A client that does not close gets no more time than it takes to read one sentence. */
const GOODBYE_MS = 1_000

/** Serves one connection from its first byte to its last. Never rejects. */
export async function serveClient(parts: ClientParts): Promise<void> {
  const { socket: raw, plane } = parts
  const gone = new AbortController()
  const onGone = () => gone.abort(new PeerGone('the client is gone'))
  let socket = raw
  raw.on('error', onGone)
  raw.on('close', onGone)
  try {
    const signal = AbortSignal.any([gone.signal, parts.stopping])
    const late = new AbortController()
    using _deadline = after(ARRIVE_MS, () =>
      late.abort(new WireError(sqlState.protocolViolation, 'The login took too long.')),
    )
    const arriving = AbortSignal.any([signal, late.signal])
    const arrived = await arrive(raw, parts.context, arriving)
    socket = arrived.socket
    socket.on('error', onGone)
    if (arrived.kind === 'cancel') {
      const { processId, key } = arrived
      const clientAddress = raw.remoteAddress ?? 'unknown'
      if (!parts.cancelKeys.cancel(processId, () => key)) plane.passCancel({ processId, key, clientAddress })
      socket.destroySoon()
      return
    }
    const request = settleStartup(arrived.packet)
    if (request.negotiation) socket.write(request.negotiation)
    const proof = await proofOf(arrived, parts.trust, arriving)
    _deadline[Symbol.dispose]()
    await serveKnown(parts, { ...arrived, request, proof }, signal)
  } catch (error) {
    sayGoodbye(socket, error, plane, gone.signal)
  }
}

type Proven = Arrived & { readonly kind: 'startup' } & {
  readonly request: StartupRequest
  readonly proof: Awaited<ReturnType<typeof proofOf>>
}

async function serveKnown(parts: ClientParts, proven: Proven, signal: AbortSignal): Promise<void> {
  const { plane } = parts
  const { socket, request, proof } = proven
  const late = new AbortController()
  using _deadline = after(ADMIT_MS, () =>
    late.abort(new WireError(sqlState.cannotConnectNow, 'The target did not become ready in time.')),
  )
  const arriving = AbortSignal.any([signal, late.signal])
  const clientAddress = parts.socket.remoteAddress ?? socket.remoteAddress ?? 'unknown'
  await using admission = await plane.admit(
    { proof, target: request.target, account: request.account, clientAddress },
    arriving,
  )
  parts.onKnown()
  refuseDatabase(admission, request.database)
  const settings = PostgresSettings.parse(admission.target.settings)
  const memory = new ReadMemory()
  const upstream = await connect(admission, request, { settings, memory }, AbortSignal.any([arriving, admission.ended]))
  _deadline[Symbol.dispose]()
  await runSession(parts, { ...proven, admission, settings, upstream, memory })
}

type Connected = Proven & {
  readonly admission: Admission
  readonly settings: ReturnType<typeof PostgresSettings.parse>
  readonly upstream: Upstream
  readonly memory: ReadMemory
}

async function runSession(parts: ClientParts, connected: Connected): Promise<void> {
  const { plane, cancelKeys, live: sessions } = parts
  const { socket, request, admission, settings, upstream } = connected
  const cancel = cancelBehind(plane, settings, upstream)
  let session: PostgresSession | undefined
  using key = cancelKeys.issue(request.version, () => (session ? session.cancel() : cancel()))
  let live: LiveSession | undefined
  try {
    live = await admission.begin()
    session = sessionOf(parts, connected, { live, cancel })
    sessions.add(session)
    try {
      socket.write(welcome(upstream, key))
      const over = session.run()
      if (parts.stopping.aborted) session.drain(parts.stopping.reason)
      await over
    } finally {
      sessions.delete(session)
    }
  } catch (error) {
    upstream.abort()
    await live?.close(FAULT)
    throw error
  }
}

function sessionOf(
  { plane, analyser }: ClientParts,
  { socket, isEncrypted, upstream, admission, settings, memory }: Connected,
  { live, cancel }: { live: LiveSession; cancel: () => void },
): PostgresSession {
  const { clock, random, log } = plane
  const { ended } = admission
  return new PostgresSession(
    {
      client: socket,
      isClientEncrypted: isEncrypted,
      upstream,
      live,
      ended,
      analyser,
      limits: settings.session,
      clock,
      random,
      log,
      cancel,
    },
    memory,
  )
}

function refuseDatabase({ account, target }: Admission, database: string): void {
  if (account.databases.length === 0 || account.databases.includes(database)) return
  throw new WireError(
    sqlState.invalidDatabase,
    `The account ${account.name} of ${target.name} works in: ${account.databases.join(', ')}.`,
  )
}

/** A password that is rotated at this very moment makes nobody fail: who was refused tries what it may be since. */
async function connectByAny(
  options: UpstreamOptions,
  { others }: Admission['upstream'],
  signal: AbortSignal,
): Promise<Upstream> {
  try {
    return await connectUpstream(options, signal)
  } catch (error) {
    if (!isLoginRefused(error)) throw error
    for (const { user, secret } of (await others?.()) ?? []) {
      try {
        return await connectUpstream({ ...options, user, password: secret }, signal)
      } catch (again) {
        if (!isLoginRefused(again)) throw again
      }
    }
    throw error
  }
}

/** By its password, or because the login as such is not let in any more. */
function isLoginRefused(error: unknown): boolean {
  const codes: readonly string[] = [sqlState.invalidPassword, sqlState.invalidAuthorization]
  return error instanceof UpstreamError && error.code !== undefined && codes.includes(error.code)
}

async function connect(
  admission: Admission,
  request: StartupRequest,
  { settings, memory }: Pick<Connected, 'settings' | 'memory'>,
  signal: AbortSignal,
): Promise<Upstream> {
  const { user, password } = admission.upstream
  const parameters = new Map(request.settings)
  if (!parameters.has('application_name')) parameters.set('application_name', `reeve ${admission.grant.id}`)
  const options = {
    ...upstreamOf(settings),
    user,
    password,
    database: request.database,
    parameters,
    version: request.version,
    deadlineMs: UPSTREAM_MS,
    leastIterations: settings.scramIterations,
    readBuffer: () => memory.next(),
  }
  try {
    return await connectByAny(options, admission.upstream, signal)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    const said = error.code === undefined ? '' : ` It answered ${error.code}.`
    const sentence = `The target ${admission.target.name} could not be reached: ${error.message}${said}`
    throw new Refused('target-down', sentence, { cause: error })
  }
}

/** What a server says when the login is done, with our own cancel key in the place of its own. */
function welcome(upstream: Upstream, key: CancelEntry): Buffer {
  const statuses = [...upstream.parameters].map(([name, value]) => parameterStatus(name, value))
  return Buffer.concat([authenticationOk(), ...statuses, backendKeyData(key.processId, key.key), readyForQuery('I')])
}

/** Cancels what one upstream connection runs; while one request is under way, more of them are the same. */
function cancelBehind(plane: Plane, settings: Connected['settings'], upstream: Upstream): () => void {
  const { cancelKey } = upstream
  let isUnderWay = false
  return () => {
    if (!cancelKey || isUnderWay) return
    isUnderWay = true
    cancelUpstream({ ...upstreamOf(settings), deadlineMs: CANCEL_MS }, cancelKey, new AbortController().signal)
      .catch((error: unknown) => plane.log.warn({ err: error }, 'a cancel request did not reach the target'))
      .finally(() => {
        isUnderWay = false
      })
      .catch(() => undefined)
  }
}

const REFUSED_CODES: Readonly<Record<Refused['code'], string>> = {
  unknown: sqlState.invalidPassword,
  over: sqlState.invalidAuthorization,
  'used-up': sqlState.invalidAuthorization,
  'too-many': '53300',
  lease: sqlState.cannotConnectNow,
  'target-down': '08001',
  'not-now': sqlState.cannotConnectNow,
}

function sayGoodbye(socket: Socket, error: unknown, plane: Plane, gone: AbortSignal): void {
  if (gone.aborted || error instanceof PeerGone || socket.destroyed) {
    socket.destroy()
    return
  }
  socket.end(errorResponse({ severity: 'FATAL', ...reportOf(error, plane) }))
  after(GOODBYE_MS, () => socket.destroy())
}

function reportOf(error: unknown, plane: Plane): { code: string; message: string; hint?: string | undefined } {
  if (error instanceof WireError) return { code: error.code, message: error.message, hint: error.hint }
  if (error instanceof Refused) {
    if (error.cause !== undefined) plane.log.warn({ err: error.cause }, error.message)
    return { code: REFUSED_CODES[error.code], message: error.message }
  }
  if (isEnding(error)) return { code: sqlState.adminShutdown, message: error.sentence }
  plane.log.error({ err: error }, 'a connection to the PostgreSQL gateway failed')
  return { code: 'XX000', message: FAULT.sentence }
}

/** What signals of the plane carry as their reason. */
function isEnding(value: unknown): value is Ending {
  return typeof value === 'object' && value !== null && 'sentence' in value && typeof value.sentence === 'string'
}
