/**
 * The API's listener. Every operation goes the same way: address limit, host and origin, who calls, caller limit, input through its schemas,
 * resource, decision, then its code, then the output through its schema. What has no schema has no handler, and content types route nothing.
 */
import type { IncomingMessage } from 'node:http'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Health } from '../health.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Operation } from '../operation.ts'
import { Problem, tooManyRequests } from '../problem.ts'
import { newId, type Random } from '../random.ts'
import { after, every } from '../timer.ts'
import { authenticated, handle, handleOpen, type Deciders, type HandlerNeeds } from './handle.ts'
import type { Idempotency } from './idempotency.ts'
import { rawServer, secureContext, type RawServer, type TlsMaterial } from './listener.ts'
import { checkOrigin } from './origin.ts'
import { addPages, type PageDoor } from './pages.ts'
import { problemAnswer } from './problem-body.ts'
import { addDoors, type Door } from './door.ts'
import { addForms, type FormDoor } from './form.ts'
import { bodyTooLarge, malformedRequest, noSuchRoute, unsupportedMediaType } from './problems.ts'
import { quickly, type QuickNeeds } from './quick.ts'
import { refuseAmbiguous } from './request.ts'
import type { Caller, OpenRoute, Route } from './route.ts'
import { addressKey, TokenBuckets, type Rate } from './token-bucket.ts'

export type ApiOptions = Deciders & {
  readonly host: string
  readonly port: number
  readonly tls: TlsMaterial | 'plaintext'
  /** Names and addresses by which clients reach this node. */
  readonly names: readonly string[]
  readonly routes: readonly Route[]
  readonly openRoutes: readonly OpenRoute[]
  /** Documents served as they are, without a token: `/v1/openapi.json`. */
  readonly documents: Readonly<Record<`/v1/${string}`, unknown>>
  /** Doors of protocols that send forms, with answers of their own. */
  readonly forms?: readonly FormDoor[]
  /** Doors of protocols with paths and bodies of their own. */
  readonly doors?: readonly Door[]
  /** Pages for people who have nothing but a browser yet. */
  readonly pages?: readonly PageDoor[]
  /** What a caller who proved nothing is told of how to (RFC 9110 §11.6.1), for the scheme and authority by which this node was reached. */
  readonly challenge?: (origin: string) => string
  /** Throws when the caller's proof is not good for an operation, whatever the policies say. */
  readonly hold?: (caller: Caller, operation: string) => void
  /** Documents that say where this node is: made for the scheme and authority by which it was reached (RFC 8615). */
  readonly wellKnown?: Readonly<Record<`/.well-known/${string}`, (origin: string) => unknown>>
  readonly idempotency: Idempotency
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly health: Health
  readonly metrics: Metrics
  readonly limits: { readonly bodyBytes: number; readonly rate: Rate; readonly tightRate?: Rate }
}

export type ApiServer = AsyncDisposable & {
  readonly port: number
  readonly url: string
  /** Serves new connections with a renewed certificate. */
  renewTls(tls: TlsMaterial): void
}

/** Guessing enrolments or making tickets in bulk is nobody's honest work. */
const TIGHT: Rate = { perSecond: 0.5, burst: 10 }
const PRUNE_EVERY_MS = 3_600_000
/** What the drain leaves over is cut after this. */
const CLOSE_MS = 25_000
/** Whatever has the form of an identifier comes back as it was sent (AuthZEN §10.1.3); it is logged too, so it has no blanks. */
const REQUEST_ID = /^[\x21\x23-\x7e]{1,200}$/
const PROBES = new Set(['/livez', '/readyz'])

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** Listens until disposed; disposal ends streams, lets calls in flight finish, and cuts what is left after 25 s. */
export async function openApi(options: ApiOptions): Promise<ApiServer> {
  const stopping = new AbortController()
  const { app, raw } = build(options, stopping.signal)
  await app.listen({ host: options.host, port: options.port })
  const address = raw.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  const prune = every(PRUNE_EVERY_MS, () => {
    options.idempotency
      .prune()
      .catch((error: unknown) => options.log.warn({ err: error }, 'old answers were not removed'))
  })
  const scheme = options.tls === 'plaintext' ? 'http' : 'https'
  return {
    port,
    url: `${scheme}://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    renewTls(tls) {
      if ('setSecureContext' in raw) raw.setSecureContext(secureContext(tls))
    },
    async [Symbol.asyncDispose]() {
      prune[Symbol.dispose]()
      stopping.abort(new Error('the listener closes'))
      using cut = after(CLOSE_MS, () => raw.closeAllConnections())
      void cut
      await app.close()
    },
  }
}

function build(options: ApiOptions, stopping: AbortSignal): { app: FastifyInstance; raw: RawServer } {
  let raw: RawServer | undefined
  const addresses = new TokenBuckets(options.clock, options.limits.rate)
  const admission = admissionOf(options)
  const seconds = options.metrics.histogram('reeve_http_request_seconds', 'Time to answer an API request.', [
    'operation',
    'status',
  ])
  const app = fastify({
    logger: false,
    trustProxy: false,
    exposeHeadRoutes: false,
    bodyLimit: options.limits.bodyBytes,
    forceCloseConnections: 'idle',
    genReqId: (request) => requestIdOf(options, request),
    frameworkErrors: (error, request, reply) => {
      sendProblem(options, asProblem(error, options), request, reply)
    },
    serverFactory: (handler) => {
      const quick: QuickNeeds = {
        ...options,
        addresses,
        admit: admission.admit,
        names: namesOf(options),
        bodyBytes: options.limits.bodyBytes,
        isPlaintext: options.tls === 'plaintext',
        headers: HEADERS,
        requestId: (request) => requestIdOf(options, request),
        observe: (operation, status, took) => seconds.observe({ operation, status: String(status) }, took),
        stopping,
      }
      raw = rawServer(options.tls, quickly(quick, options.routes, handler))
      return raw
    },
  })
  if (!raw) throw new Error('the listener was not made')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => sendProblem(options, asProblem(error, options), request, reply))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(options, noSuchRoute('See /v1/openapi.json for what there is.', {}), request, reply),
  )
  guard(app, options, addresses)
  app.addHook('onResponse', async (request, reply) => {
    const operation = request.routeOptions.config.operationId ?? 'other'
    seconds.observe({ operation, status: String(reply.raw.statusCode) }, reply.elapsedTime / 1000)
  })
  addDocuments(app, options)
  addForms(app, options.forms ?? [])
  addPages(app, options.pages ?? [])
  addDoors(app, options.doors ?? [], admission.admit)
  addOperations(app, options, admission, stopping)
  return { app, raw }
}

/** What is asked of every request before anything is known of it. */
function guard(app: FastifyInstance, options: ApiOptions, addresses: TokenBuckets): void {
  const names = namesOf(options)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...HEADERS, 'x-request-id': request.id })
    if (options.tls !== 'plaintext' && request.hostname !== 'localhost') {
      reply.header('strict-transport-security', 'max-age=31536000')
    }
    limit(addresses, addressKey(request.raw.socket.remoteAddress ?? ''))
    refuseAmbiguous(request)
    if (PROBES.has(request.routeOptions.url ?? '')) return
    const { isEntered = false } = request.routeOptions.config
    checkOrigin(request.headers, names, isEntered && request.method === 'GET')
  })
}

type Admission = {
  readonly tight: TokenBuckets
  readonly admit: (caller: Caller, operation: Pick<Operation, 'id' | 'rate'>) => void
}

/** What is asked of every caller before the body is read, whichever way the request goes. */
function admissionOf({ clock, limits: { rate, tightRate }, hold }: ApiOptions): Admission {
  const callers = new TokenBuckets(clock, rate)
  const tight = new TokenBuckets(clock, tightRate ?? TIGHT)
  return {
    tight,
    admit(caller, operation) {
      limit(callers, caller.id)
      hold?.(caller, operation.id)
      if (operation.rate === 'tight') limit(tight, `${operation.id} ${caller.id}`)
    },
  }
}

function namesOf({ names }: ApiOptions): ReadonlySet<string> {
  return new Set([...names, 'localhost', '127.0.0.1', '::1'].map((name) => name.toLowerCase()))
}

function requestIdOf({ clock, random }: ApiOptions, { headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : newId(clock, random)
}

function addDocuments(app: FastifyInstance, options: ApiOptions): void {
  const { health, metrics } = options
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const { isReady, checks } = await health.ready()
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'failing', checks })
  })
  // Counts say what a company does and when: who scrapes proves an identity like anybody else.
  app.get('/metrics', async (request, reply) => {
    const caller = await authenticated(options, request)
    options.hold?.(caller, 'metrics.read')
    return reply.header('content-type', metrics.contentType).send(await metrics.text())
  })
  for (const [path, document] of Object.entries(options.wellKnown ?? {})) {
    // The authority was held against the names of this node before, so nobody is told of another's.
    app.get(path, async (request, reply) =>
      reply
        .header('content-type', 'application/json; charset=utf-8')
        .send(JSON.stringify(document(`${request.protocol}://${request.host}`))),
    )
  }
  for (const [path, document] of Object.entries(options.documents)) {
    const text = JSON.stringify(document)
    app.get(path, async (_request, reply) => reply.header('content-type', 'application/json; charset=utf-8').send(text))
  }
}

function addOperations(
  app: FastifyInstance,
  options: ApiOptions,
  { tight, admit }: Admission,
  stopping: AbortSignal,
): void {
  const needs: HandlerNeeds = { ...options, stopping }
  const known = new WeakMap<FastifyRequest, Awaited<ReturnType<typeof authenticated>>>()
  for (const route of options.routes) {
    const { operation } = route
    if (operation.caller !== 'identity') throw new Error(`${operation.id} needs no proof: bind it with openRoute`)
    app.route({
      ...declared(operation),
      // Before the body is read: who proves nothing sends nothing.
      onRequest: async (request) => {
        const caller = await authenticated(needs, request)
        admit(caller, operation)
        known.set(request, caller)
      },
      handler: async (request, reply) => {
        const caller = known.get(request)
        if (!caller) throw new Error('a request came past the check of its caller')
        return handle(needs, route, caller, request, reply)
      },
    })
  }
  for (const route of options.openRoutes) {
    const { operation } = route
    if (operation.caller !== 'none') throw new Error(`${operation.id} needs a proof: bind it with route`)
    app.route({
      ...declared(operation),
      onRequest: async (request) => {
        if (operation.rate === 'tight') {
          limit(tight, `${operation.id} ${addressKey(request.raw.socket.remoteAddress ?? '')}`)
        }
      },
      handler: (request, reply) => handleOpen(needs, route, request, reply),
    })
  }
}

function declared(operation: Operation): { method: Operation['method']; url: string; config: { operationId: string } } {
  const { id, method, path, params, query, input, output, answer, caching } = operation
  const schemas: unknown[] = [params, query, input, output]
  if (!schemas.every((schema) => schema instanceof z.ZodType))
    throw new Error(`${id} lacks a schema, so it has no handler`)
  if (method === 'GET' && !(input instanceof z.ZodUndefined)) throw new Error(`${id} reads, so it takes no body`)
  if (method !== 'GET' && (answer === 'bytes' || caching === 'immutable'))
    throw new Error(`${id} has the answer of a read`)
  return { method, url: path.replace(/\*\w+$/, '*'), config: { operationId: id } }
}

function limit(buckets: TokenBuckets, key: string): void {
  const retryAfterSeconds = buckets.take(key)
  if (retryAfterSeconds > 0) throw tooManyRequests('Slow down; try again later.', { retryAfterSeconds })
}

type Telling = Pick<ApiOptions, 'log' | 'challenge'>

function sendProblem(
  { log, challenge }: Telling,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { status, headers, text } = problemAnswer(
    error,
    request.id,
    challenge?.(`${request.protocol}://${request.host}`),
  )
  const operation = request.routeOptions.config.operationId
  if (!(error instanceof Problem)) log.error({ err: error, requestId: request.id, operation }, 'a request failed')
  else
    log.debug({ slug: error.slug, requestId: request.id, operation, err: error.cause }, 'a request ended in a problem')
  if (reply.raw.headersSent) {
    // A stream that broke: the caller must not take the part for the whole.
    reply.raw.destroy()
    return reply
  }
  for (let at = 0; at < headers.length; at += 2) reply.header(headers[at] ?? '', headers[at + 1])
  return reply.code(status).send(Buffer.from(text, 'utf8'))
}

/** Errors of the framework as our problems, by its own code. */
function asProblem(error: unknown, options: ApiOptions): unknown {
  if (error instanceof Problem || !(error instanceof Error) || !('code' in error)) return error
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge('Send less at once.', { limitBytes: options.limits.bodyBytes })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unsupportedMediaType('Send the body as application/json.', {})
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return malformedRequest('The body is shorter or longer than its Content-Length.', {})
    case 'FST_ERR_BAD_URL':
      return malformedRequest('The path is not well-formed.', {})
    default:
      return error
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    operationId?: string
  }
}
