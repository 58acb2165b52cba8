import type { FastifyReply, FastifyRequest } from 'fastify'
import { sha256 } from '../crypto.ts'
import { isPermit, type Permit } from '../permit.ts'
import { invalidInput, unauthenticated, type Problem } from '../problem.ts'
import type { Operation } from '../operation.ts'
import type { Idempotency, KeptAnswer } from './idempotency.ts'
import { problemBody } from './problem-body.ts'
import { bodyBytes, presentedBy, readInput, type Presented } from './request.ts'
import type { Call, Caller, OpenRoute, Resource, Route } from './route.ts'
import { encoded, sendBytes, sendKept, sendLines } from './send.ts'

/** What the composition root gives the router: who somebody is, and whether they may. */
export type Deciders = {
  readonly authenticate: (presented: Presented) => Promise<Caller | undefined>
  /** Throws `notPermitted` unless the policy permits. */
  readonly decide: (
    caller: Caller,
    action: string,
    resource: Resource,
    context: Readonly<Record<string, unknown>>,
  ) => Promise<Permit>
}

export type HandlerNeeds = Deciders & {
  readonly idempotency: Idempotency
  /** Aborted when the listener closes: streams end then, other calls may finish. */
  readonly stopping: AbortSignal
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/

/** Who calls; throws `unauthenticated`, the same for every reason. */
export async function authenticated(needs: Deciders, request: FastifyRequest): Promise<Caller> {
  const presented = presentedBy(request)
  const caller = presented.bearer || presented.certificate ? await needs.authenticate(presented) : undefined
  if (!caller) throw unauthenticated('Send a valid token as `Authorization: Bearer …`.', {})
  return caller
}

/** One call of a decided operation: validate, load the resource, decide, and only then run. */
export async function handle(
  needs: HandlerNeeds,
  route: Route,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { operation } = route
  const call: Call<Operation> = { ...openCall(needs, operation, request, reply), caller }
  const key = idempotencyKey(operation, request)
  const resource = await route.resource(call)
  const permit = await needs.decide(caller, operation.id, resource, await route.context(call))
  holdPermit(permit, operation.id, resource)
  if (operation.answer === 'stream') {
    return sendLines(reply, operation, await route.run(call, permit), call.signal)
  }
  if (operation.answer === 'bytes') return sendBytes(reply, operation, await route.run(call, permit))
  const answer = async (): Promise<KeptAnswer> => encoded(operation, await route.run(call, permit))
  if (key === undefined) return sendKept(reply, await answer(), false)
  const keyed = { callerId: caller.id, key, requestSha256: fingerprint(request) }
  const problemAnswer = (problem: Problem) => ({
    status: problem.status,
    body: JSON.stringify(problemBody(problem, request.id)),
  })
  const kept = await needs.idempotency.once(keyed, answer, problemAnswer)
  return sendKept(reply, kept, kept.isReplay)
}

/** One call of an operation that needs no proof. */
export async function handleOpen(
  needs: HandlerNeeds,
  { operation, run }: OpenRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return sendKept(reply, encoded(operation, await run(openCall(needs, operation, request, reply))), false)
}

function openCall(
  needs: HandlerNeeds,
  operation: Operation,
  request: FastifyRequest,
  reply: FastifyReply,
): Omit<Call<Operation>, 'caller'> {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('the caller went away'))
  })
  return {
    ...readInput(operation, request),
    clientAddress: request.raw.socket.remoteAddress ?? '',
    signal: operation.answer === 'stream' ? AbortSignal.any([gone.signal, needs.stopping]) : gone.signal,
  }
}

/** The decision must be about what was asked: a wrong one is our own broken promise, and nothing runs on it. */
function holdPermit(permit: unknown, action: string, resource: Resource): void {
  const isFitting =
    isPermit(permit) &&
    permit.action === action &&
    permit.resource.type === resource.type &&
    permit.resource.id === resource.id
  if (!isFitting) throw new Error(`the decision on ${action} gave no permit for it`)
}

function idempotencyKey(operation: Operation, request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined || operation.effect === 'read' || operation.answer === 'stream') return undefined
  if (typeof key === 'string' && IDEMPOTENCY_KEY.test(key)) return key
  throw invalidInput('An Idempotency-Key is 1 to 200 visible ASCII characters.', { issues: [] })
}

function fingerprint(request: FastifyRequest): Buffer {
  const head = Buffer.from(`${request.method} ${request.raw.url ?? ''}\n`, 'utf8')
  return sha256(Buffer.concat([head, bodyBytes(request)]))
}
