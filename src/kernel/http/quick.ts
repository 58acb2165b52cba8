/**
 * A short way for operations that are asked thousands of times a second. It takes only requests of the plainest form, and asks of them all
 * that the long way asks; whatever is in any way unusual goes the long way, which says what is wrong with it.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Operation } from '../operation.ts'
import { Problem, tooManyRequests, unauthenticated } from '../problem.ts'
import { soon, type Soon } from '../soon.ts'
import { CHANGE, REQUEST_APPROVAL } from './approval.ts'
import { holdPermit, type Deciders } from './handle.ts'
import { checkOrigin } from './origin.ts'
import { problemAnswer } from './problem-body.ts'
import { bodyIn, presentedOn } from './request.ts'
import type { Call, Caller, Route } from './route.ts'
import { REQUEST_STEP_UP, STEP_UP } from './step-up.ts'
import { addressKey, type TokenBuckets } from './token-bucket.ts'
import { validated } from './validate.ts'

export type QuickNeeds = Deciders & {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Log
  readonly addresses: TokenBuckets
  /** What is asked of every caller, as on the long way. */
  readonly admit: (caller: Caller, operation: Operation) => void
  readonly challenge?: (origin: string) => string
  readonly names: ReadonlySet<string>
  readonly bodyBytes: number
  readonly isPlaintext: boolean
  /** What each answer carries. */
  readonly headers: Readonly<Record<string, string>>
  readonly requestId: (request: IncomingMessage) => string
  readonly observe: (operation: string, status: number, seconds: number) => void
  readonly stopping: AbortSignal
}

/** What a plain request says in its head. */
type Head = { readonly authorization: string; readonly host: string; readonly bytes: number }

/** Takes what it can of the routes that have a quick way; all else is `otherwise`. */
export function quickly(needs: QuickNeeds, routes: readonly Route[], otherwise: RequestListener): RequestListener {
  const byUrl = new Map(routes.filter(({ quick }) => quick).map((route) => [route.operation.path, route]))
  const answering = { ...needs, fixed: Object.entries(needs.headers).flat(), hosts: new Set<string>() }
  return (request, response) => {
    const route = request.method === 'POST' ? byUrl.get(request.url ?? '') : undefined
    const head = route && !needs.stopping.aborted && headOf(answering, request)
    if (route && head) {
      const requestId = needs.requestId(request)
      answer({ ...head, needs: answering, route, request, response, requestId, begunMs: needs.clock.monotonicMs() })
    } else otherwise(request, response)
  }
}

type Answering = QuickNeeds & {
  readonly fixed: readonly string[]
  /** Spellings of our names that were accepted before. */
  readonly hosts: Set<string>
}

const TYPE = /^application\/json(?:; ?charset=utf-8)?$/i
const BEARER = /^Bearer [A-Za-z0-9._~+/-]{1,4096}=*$/
/** Each of these asks for something that takes the long way. */
const UNUSUAL = [
  'transfer-encoding',
  'content-encoding',
  'expect',
  'upgrade',
  'origin',
  'sec-fetch-site',
  'idempotency-key',
  REQUEST_APPROVAL,
  CHANGE,
  REQUEST_STEP_UP,
  STEP_UP,
]
const MOST_HOSTS = 100

/** Undefined for a request that is not of the plainest form. A header that is given twice never is. */
function headOf(needs: Answering, request: IncomingMessage): Head | undefined {
  const { rawHeaders, headers } = request
  // Node counts names as one that differ in case only: fewer of them than lines, and one was given twice.
  if (2 * Object.keys(headers).length !== rawHeaders.length) return undefined
  for (const name of UNUSUAL) if (headers[name] !== undefined) return undefined
  const { host, authorization, 'content-type': type, 'content-length': length } = headers
  const bytes = Number(length)
  const isPlain =
    host !== undefined &&
    authorization !== undefined &&
    BEARER.test(authorization) &&
    (type === 'application/json' || TYPE.test(type ?? '')) &&
    bytes > 0 &&
    bytes <= needs.bodyBytes
  return isPlain && isOurs(needs, request, host) ? { authorization, host, bytes } : undefined
}

function isOurs({ hosts, names }: Answering, { headers }: IncomingMessage, host: string): boolean {
  if (hosts.has(host)) return true
  try {
    checkOrigin(headers, names)
  } catch {
    return false
  }
  if (hosts.size < MOST_HOSTS) hosts.add(host)
  return true
}

/** One request under way. */
type Asked = Head & {
  readonly needs: Answering
  readonly route: Route
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  readonly begunMs: number
}

/**
 * The same steps in the same order as the long way. Each goes on at once where nothing has to be waited for: most questions are about what the
 * node remembers.
 */
function answer(asked: Asked): void {
  attempt(asked, () =>
    soon(callerOf(asked), (caller) => {
      bodyOf(asked, (body) => attempt(asked, () => soon(textOf(asked, caller, body), (text) => finish(asked, text))))
    }),
  )
}

/** What a step throws or rejects with is told to who asked. */
function attempt(asked: Asked, step: () => Soon<void>): void {
  try {
    const done = step()
    if (done instanceof Promise) done.catch((error: unknown) => fail(asked, error))
  } catch (error) {
    fail(asked, error)
  }
}

/** Before the body is read: who proves nothing sends nothing. */
function callerOf({ needs, route: { operation }, authorization, request: { socket } }: Asked): Soon<Caller> {
  limit(needs.addresses, addressKey(socket.remoteAddress ?? ''))
  return soon(needs.authenticate(presentedOn(socket, authorization.slice('Bearer '.length))), (caller) => {
    if (!caller) throw unauthenticated('Send a valid token as `Authorization: Bearer …`.', {})
    needs.admit(caller, operation)
    return caller
  })
}

function textOf({ needs, route, request }: Asked, caller: Caller, body: Buffer): Soon<string> {
  const { operation } = route
  const value = bodyIn(body)
  const input = route.quick?.plain(value) ?? validated(operation.input, value, 'body')
  const clientAddress = request.socket.remoteAddress ?? ''
  const call: Call<Operation> = { params: {}, query: {}, input, caller, clientAddress, signal: NEVER }
  return soon(route.resource(call), (resource) =>
    soon(route.context(call), (context) =>
      soon(needs.decide(caller, operation.id, resource, context), (permit) => {
        holdPermit(permit, operation.id, resource)
        return soon(route.run(call, permit), (output) => JSON.stringify(output))
      }),
    ),
  )
}

const JSON_TYPE = ['content-type', 'application/json; charset=utf-8']

/** What is asked for here is answered at once, so nobody waits for its end. */
const NEVER = new AbortController().signal

function finish(asked: Asked, text: string): void {
  send(asked, { status: asked.route.operation.status, headers: JSON_TYPE, text })
  observe(asked)
}

function fail(asked: Asked, error: unknown): void {
  const { needs, route, requestId, host } = asked
  const said = { requestId, operation: route.operation.id }
  if (!(error instanceof Problem)) needs.log.error({ err: error, ...said }, 'a request failed')
  else needs.log.debug({ slug: error.slug, ...said, err: error.cause }, 'a request ended in a problem')
  const origin = `${needs.isPlaintext ? 'http' : 'https'}://${host}`
  send(asked, problemAnswer(error, requestId, needs.challenge?.(origin)))
  observe(asked)
}

function observe({ needs, route, response, begunMs }: Asked): void {
  needs.observe(route.operation.id, response.statusCode, (needs.clock.monotonicMs() - begunMs) / 1000)
}

function limit(buckets: TokenBuckets, key: string): void {
  const retryAfterSeconds = buckets.take(key)
  if (retryAfterSeconds > 0) throw tooManyRequests('Slow down; try again later.', { retryAfterSeconds })
}

/** The body, which is no longer than its head says. Nobody is there to answer when it breaks off. */
function bodyOf(asked: Asked, use: (body: Buffer) => void): void {
  const { request, bytes } = asked
  let first: Buffer | undefined
  const more: Buffer[] = []
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    const body = first && more.length > 0 ? Buffer.concat([first, ...more]) : first
    if (body?.length === bytes) use(body)
    else observe(asked)
  }
  request.on('data', (chunk: Buffer) => {
    if (first) more.push(chunk)
    else first = chunk
  })
  request.on('end', end)
  request.on('error', end)
  request.on('close', end)
}

type Said = { readonly status: number; readonly headers: readonly string[]; readonly text: string }

function send({ needs, host, requestId, response }: Asked, { status, headers, text }: Said): void {
  if (response.destroyed) return
  const isStrict = !needs.isPlaintext && !/^localhost(?::|$)/.test(host)
  response.writeHead(status, [
    ...needs.fixed,
    'x-request-id',
    requestId,
    ...headers,
    'content-length',
    String(Buffer.byteLength(text)),
    ...(isStrict ? STRICT : []),
    ...(needs.stopping.aborted ? CLOSING : []),
  ])
  // Text, not bytes: head and body then leave in one piece.
  response.end(text)
}

const STRICT = ['strict-transport-security', 'max-age=31536000']
/** What came while the listener closes is answered, and its connection ends with it. */
const CLOSING = ['connection', 'close']
