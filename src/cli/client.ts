import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { systemClock } from '../kernel/clock.ts'
import { PATH_PARAMETER, type Operation } from '../kernel/operation.ts'
import { newId, systemRandom } from '../kernel/random.ts'
import { sleep } from '../kernel/timer.ts'
import type { Connection } from './connection.ts'
import { bytesOfAnswer, linesOfAnswer, openExchange, textOfAnswer, type Exchange, type Sent } from './exchange.ts'
import { EXIT, Failure } from './failure.ts'
import { ApiProblem, problemOf } from './problems.ts'

/** What an operation is called with, in the form it has on the wire. */
export type Given = {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly input?: unknown
  readonly idempotencyKey?: string
  /** Where others have to approve the call: why, for them to read. It is put before them then, and the answer is the change. */
  readonly requestApproval?: string
  /** Where the call owes a fresh proof of its person: they are shown it, and the answer is the step-up. */
  readonly requestStepUp?: boolean
  /** The step-up by which they proved themselves for exactly this call. */
  readonly stepUp?: string
}

export type Client = Disposable & {
  readonly connection: Connection
  /** The answer as it came, after retries where those are safe. Throws `ApiProblem` or `Failure`. */
  call(operation: Operation, given?: Given, signal?: AbortSignal): Promise<unknown>
  /** The same, read by the operation's own schema. */
  ask<Op extends Operation>(operation: Op, given?: Given, signal?: AbortSignal): Promise<z.output<Op['output']>>
  /** The lines of an operation that streams. */
  stream(operation: Operation, given?: Given, signal?: AbortSignal): AsyncGenerator
  /** The same as text, where the exact bytes matter. */
  lines(operation: Operation, given?: Given, signal?: AbortSignal): AsyncGenerator<string>
  /** The body of an operation that answers with bytes. */
  bytes(operation: Operation, given?: Given, signal?: AbortSignal): Promise<Buffer>
  /** A document that is served as it is, such as `/v1/installation`. */
  document(path: `/v1/${string}`, signal?: AbortSignal): Promise<unknown>
}

/** Pauses before each further try: a node that restarts is back by then, and a person still waits. */
const RETRY_PAUSES_MS = [100, 400, 1000, 2000]
/** A server that wants a longer pause than this is not waited for. */
const LONGEST_PAUSE_SECONDS = 5

/** `pausesMs` are those of retries; none to have each failure at once. */
export function openClient(connection: Connection, pausesMs: readonly number[] = RETRY_PAUSES_MS): Client {
  const exchange = openExchange(connection)
  const call = async (operation: Operation, given: Given = {}, signal?: AbortSignal) => {
    const answer = await settled(exchange, connection, pausesMs, { operation, given, signal })
    const text = await textOfAnswer(answer)
    return text === '' ? undefined : parsed(text)
  }
  async function* lines(operation: Operation, given: Given = {}, signal?: AbortSignal): AsyncGenerator<string> {
    yield* linesOfAnswer(await settled(exchange, connection, pausesMs, { operation, given, signal }))
  }
  return {
    connection,
    call,
    ask: async <Op extends Operation>(operation: Op, given?: Given, signal?: AbortSignal) => {
      const read = z.safeParse<Op['output']>(operation.output, await call(operation, given, signal))
      if (!read.success) {
        throw new Failure(EXIT.server, 'The server’s answer has another form than this version of reeve knows.', [
          'Compare the versions: reeve version',
        ])
      }
      return read.data
    },
    async *stream(operation, given, signal) {
      for await (const line of lines(operation, given, signal)) yield parsed(line)
    },
    lines,
    bytes: async (operation, given = {}, signal) =>
      bytesOfAnswer(await settled(exchange, connection, pausesMs, { operation, given, signal })),
    document: async (path, signal) => {
      const sent = { method: 'GET', path, headers: { accept: 'application/json' }, body: undefined }
      const answer = await exchange.send(sent, signal).catch((error: unknown) => {
        throw unreachable(connection, error)
      })
      const text = await textOfAnswer(answer)
      if (answer.statusCode !== 200) throw problemOf(answer.statusCode ?? 0, text, '')
      return parsed(text)
    },
    [Symbol.dispose]: () => exchange[Symbol.dispose](),
  }
}

type Call = { readonly operation: Operation; readonly given: Given; readonly signal: AbortSignal | undefined }

/** The head of a good answer. A write carries one Idempotency-Key over all tries, so that it happens once. */
async function settled(
  exchange: Exchange,
  connection: Connection,
  pausesMs: readonly number[],
  call: Call,
): Promise<IncomingMessage> {
  const { operation, given, signal } = call
  const sent = sentOf(connection, operation, given)
  for (let attempt = 0; ; attempt += 1) {
    const pauseMs = pausesMs[attempt]
    try {
      const answer = await exchange.send(sent, signal)
      const status = answer.statusCode ?? 0
      if (status >= 200 && status < 300) return answer
      throw problemOf(status, await textOfAnswer(answer), operation.id.replace('.', ' '))
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      const waitMs = pauseMs === undefined ? undefined : pauseBefore(error, operation, pauseMs)
      if (waitMs === undefined) throw error instanceof Failure ? error : unreachable(connection, error)
      await sleep(waitMs, signal)
    }
  }
}

/** How long to wait before the next try, or undefined where a further one could do harm or no good. */
function pauseBefore(error: unknown, operation: Operation, pauseMs: number): number | undefined {
  if (error instanceof ApiProblem) {
    if (error.slug === 'idempotency-key-in-progress') return error.facts['outcome'] === 'running' ? pauseMs : undefined
    if (error.status !== 503 && error.status !== 429) return undefined
    const seconds = error.facts['retryAfterSeconds']
    if (typeof seconds !== 'number') return pauseMs
    return seconds <= LONGEST_PAUSE_SECONDS ? Math.max(pauseMs, seconds * 1000) : undefined
  }
  const code = codeOf(error)
  if (code === 'ECONNREFUSED') return pauseMs
  // Without a key nobody knows whether the write happened.
  const isSafe = operation.method === 'GET' || operation.caller === 'identity'
  return isSafe && ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'].includes(code) ? pauseMs : undefined
}

function sentOf(connection: Connection, operation: Operation, given: Given): Sent {
  const isWrite = operation.method !== 'GET'
  const body = given.input === undefined ? undefined : JSON.stringify(given.input)
  return {
    method: operation.method,
    path: pathOf(operation, given),
    headers: {
      accept: operation.mediaType,
      'user-agent': 'reeve-cli',
      ...(connection.token &&
        operation.caller === 'identity' && { authorization: `Bearer ${connection.token.reveal()}` }),
      ...(isWrite &&
        operation.caller === 'identity' && {
          'idempotency-key': given.idempotencyKey ?? newId(systemClock, systemRandom),
        }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(given.requestStepUp && { 'reeve-request-step-up': '1' }),
      ...(given.stepUp !== undefined && { 'reeve-step-up': given.stepUp }),
      ...(given.requestApproval !== undefined && {
        'reeve-request-approval': encodeURIComponent(given.requestApproval),
      }),
    },
    body,
  }
}

/** The path with its parameters, each escaped so that it stays one segment, and the query. */
export function pathOf(operation: Operation, given: Given): string {
  const path = operation.path.replaceAll(PATH_PARAMETER, (_, name: string) => {
    return segment(given.params?.[name] ?? '')
  })
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given.query ?? {})) if (value !== undefined) query.set(name, String(value))
  const text = query.toString()
  return text === '' ? path : `${path}?${text}`
}

/** RFC 3986 §5.2.4 takes `.` and `..` away even where they are escaped, so they are no names. */
function segment(text: string): string {
  if (text === '' || text === '.' || text === '..') throw new Failure(EXIT.usage, `“${text}” names nothing.`)
  return encodeURIComponent(text)
}

/** What the certificate errors of Node's TLS mean for who reads them. */
const DISTRUST = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
])

export function unreachable(connection: Pick<Connection, 'address'>, error: unknown): Failure {
  const code = codeOf(error)
  const where = connection.address.origin
  const cause = { cause: error }
  if (DISTRUST.has(code)) {
    return new Failure(
      EXIT.server,
      `What answers at ${where} does not prove to be the server (${code}). Nothing was sent to it.`,
      ['Enrol again with a fresh link, or name the CA: REEVE_CACERT=<file>'],
      cause,
    )
  }
  if (code === 'ECONNREFUSED') {
    return new Failure(EXIT.server, `Nothing answers at ${where}.`, ['Is the server started? reeve start'], cause)
  }
  const why = error instanceof Error ? error.message : String(error)
  return new Failure(EXIT.server, `The connection to ${where} failed: ${why}`, ['Try again.'], cause)
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Failure(EXIT.server, 'The server’s answer is not JSON: something else may stand in between.', [], {
      cause: error,
    })
  }
}
