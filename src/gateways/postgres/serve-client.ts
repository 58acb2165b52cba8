import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { after } from '../../kernel/timer.ts'
import { Refused, type Admission, type Ending, type Plane, type Proof } from '../gateway.ts'
import type { CancelEntry, CancelKeys } from './cancel-keys.ts'
import { arrive, type Arrived } from './first-bytes.ts'
import { proofOf, ticketOf } from './prove.ts'
import { PostgresSession, ReadMemory } from './session.ts'
import { PostgresSettings, upstreamOf } from './settings.ts'
import type { Analyser } from './sql/analyse.ts'
import { cancelUpstream, connectUpstream } from './wire/connect.ts'
import { authenticationOk, backendKeyData, errorResponse, parameterStatus, readyForQuery } from './wire/encode.ts'
import { settleStartup, type StartupRequest } from './wire/startup.ts'
import { UpstreamError, type Upstream } from './wire/upstream.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** A session that can be told to end; `over` resolves when it has. */
export type Live = { end(ending: Ending): void; readonly over: Promise<unknown> }

export type ClientParts = {
  readonly plane: Plane
  readonly analyser: Analyser
  readonly cancelKeys: CancelKeys
  readonly live: Set<Live>
  readonly context: SecureContext
  readonly allowsPlaintext: boolean
  readonly socket: Socket
  readonly onAdmitted: () => void
  readonly stopping: AbortSignal
}

/** PostgreSQL's own authentication_timeout is a minute; a ticket or a certificate needs no person. */
const ARRIVE_MS = 15_000
const ADMIT_MS = 30_000
const UPSTREAM_MS = 10_000
const CANCEL_MS = 5_000

/** Serves one connection from its first byte to its last. Never rejects. */
export async function serveClient(parts: ClientParts): Promise<void> {
  const { socket: raw, plane } = parts
  const gone = new AbortController()
  let socket = raw
  raw.on('error', () => gone.abort(new Error('the client is gone')))
  raw.on('close', () => gone.abort(new Error('the client is gone')))
  const late = new AbortController()
  const signal = AbortSignal.any([gone.signal, late.signal, parts.stopping])
  let isArriving = true
  const admitted = () => {
    if (isArriving) parts.onAdmitted()
    isArriving = false
  }
  try {
    let arrived: Arrived
    {
      using _deadline = after(ARRIVE_MS, () =>
        late.abort(new WireError(sqlState.protocolViolation, 'The login took too long.')),
      )
      arrived = await arrive(raw, parts.context, signal)
      socket = arrived.socket
      socket.on('error', () => gone.abort(new Error('the client is gone')))
      if (arrived.kind === 'cancel') {
        parts.cancelKeys.cancel(arrived.processId, arrived.key)
        socket.end()
        return
      }
    }
    await serveStartup(parts, arrived, signal, admitted)
  } catch (error) {
    sayGoodbye(socket, error, plane, gone.signal)
  } finally {
    admitted()
  }
}

async function serveStartup(
  parts: ClientParts,
  arrived: Arrived & { kind: 'startup' },
  signal: AbortSignal,
  admitted: () => void,
): Promise<void> {
  const { plane } = parts
  const { socket, isEncrypted } = arrived
  const late = new AbortController()
  using _deadline = after(ADMIT_MS, () =>
    late.abort(new WireError(sqlState.cannotConnectNow, 'The login took too long.')),
  )
  const arriving = AbortSignal.any([signal, late.signal])
  const request = settleStartup(arrived.packet)
  if (request.negotiation) socket.write(request.negotiation)
  const proof: Proof =
    !isEncrypted && parts.allowsPlaintext
      ? { kind: 'ticket', secret: await ticketOf(socket, arriving) }
      : await proofOf(socket, isEncrypted, arriving)
  const clientAddress = socket.remoteAddress ?? parts.socket.remoteAddress ?? 'unknown'
  await using admission = await plane.admit(
    { proof, target: request.target, account: request.account, clientAddress },
    arriving,
  )
  if (admission.account.databases.length > 0 && !admission.account.databases.includes(request.database)) {
    throw new WireError(
      sqlState.invalidDatabase,
      `The account ${admission.account.name} of ${admission.target.name} works in: ${admission.account.databases.join(', ')}.`,
    )
  }
  const memory = new ReadMemory()
  const settings = PostgresSettings.parse(admission.target.settings)
  const upstream = await connect(admission, request, settings, memory, AbortSignal.any([arriving, admission.ended]))
  admitted()
  await runSession(parts, { ...arrived, request, admission, settings, upstream, memory })
}

type Connected = Arrived & { kind: 'startup' } & {
  readonly request: StartupRequest
  readonly admission: Admission
  readonly settings: ReturnType<typeof PostgresSettings.parse>
  readonly upstream: Upstream
  readonly memory: ReadMemory
}

async function runSession(parts: ClientParts, connected: Connected): Promise<void> {
  const { plane, analyser, cancelKeys, live: sessions } = parts
  const { socket, isEncrypted, request, admission, settings, upstream, memory } = connected
  const cancel = () => cancelBehind(plane, settings, upstream)
  using key = cancelKeys.issue(request.version, cancel)
  try {
    const live = await admission.begin()
    const session = new PostgresSession(
      {
        client: socket,
        isClientEncrypted: isEncrypted,
        upstream,
        live,
        ended: admission.ended,
        analyser,
        limits: settings.session,
        clock: plane.clock,
        random: plane.random,
        cancel,
      },
      memory,
    )
    socket.write(welcome(upstream, key))
    const over = session.run()
    const entry = { end: (ending: Ending) => session.end(ending), over }
    sessions.add(entry)
    await over
    sessions.delete(entry)
  } finally {
    upstream.socket.destroy()
  }
}

async function connect(
  admission: Admission,
  request: StartupRequest,
  settings: Connected['settings'],
  memory: ReadMemory,
  signal: AbortSignal,
): Promise<Upstream> {
  const { user, password } = admission.upstream
  const parameters = new Map(request.settings)
  if (!parameters.has('application_name')) parameters.set('application_name', `reeve ${admission.grant.id}`)
  try {
    return await connectUpstream(
      {
        ...upstreamOf(settings),
        user,
        password,
        database: request.database,
        parameters,
        version: request.version,
        deadlineMs: UPSTREAM_MS,
        leastIterations: settings.scramIterations,
        readBuffer: () => memory.next(),
      },
      signal,
    )
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    const said = error.code === undefined ? '' : ` It answered ${error.code}.`
    throw new Refused(
      'target-down',
      `The target ${admission.target.name} could not be reached: ${error.message}${said}`,
      { cause: error },
    )
  }
}

/** What a server says when the login is done, with our own cancel key in the place of its own. */
function welcome(upstream: Upstream, key: CancelEntry): Buffer {
  const statuses = [...upstream.parameters].map(([name, value]) => parameterStatus(name, value))
  return Buffer.concat([authenticationOk(), ...statuses, backendKeyData(key.processId, key.key), readyForQuery('I')])
}

function cancelBehind(plane: Plane, settings: Connected['settings'], upstream: Upstream): void {
  if (!upstream.cancelKey) return
  const asked = { ...upstreamOf(settings), deadlineMs: CANCEL_MS }
  cancelUpstream(asked, upstream.cancelKey, new AbortController().signal).catch((error: unknown) => {
    plane.log.warn({ err: error }, 'a cancel request did not reach the target')
  })
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
  if (gone.aborted) {
    socket.destroy()
    return
  }
  socket.end(errorResponse({ severity: 'FATAL', ...reportOf(error, plane) }))
  // A client that does not close gets no more time than it takes to read one sentence.
  after(1_000, () => socket.destroy())
}

function reportOf(error: unknown, plane: Plane): { code: string; message: string; hint?: string | undefined } {
  if (error instanceof WireError) return { code: error.code, message: error.message, hint: error.hint }
  if (error instanceof Refused) {
    if (error.cause !== undefined) plane.log.warn({ err: error.cause }, error.message)
    return { code: REFUSED_CODES[error.code], message: error.message }
  }
  if (typeof error === 'object' && error !== null && 'sentence' in error) {
    return { code: sqlState.adminShutdown, message: String(error.sentence) }
  }
  plane.log.error({ err: error }, 'a connection to the PostgreSQL gateway failed')
  return { code: 'XX000', message: 'The gateway could not go on; its log says why.' }
}
