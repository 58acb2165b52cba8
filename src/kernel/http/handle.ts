import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { sha256 } from '../crypto.ts'
import { isPermit, type Permit } from '../permit.ts'
import { approvalOwed, invalidInput, unauthenticated, type Problem } from '../problem.ts'
import type { Operation } from '../operation.ts'
import type { Soon } from '../soon.ts'
import type { Idempotency, KeptAnswer } from './idempotency.ts'
import { problemBody } from './problem-body.ts'
import {
  approvalOf,
  CHANGE,
  REQUEST_APPROVAL,
  type Approvals,
  type AskedCall,
  type Redeemed,
  type Wire,
} from './approval.ts'
import { bodyBytes, presentedBy, readInput, wireOf, type Presented } from './request.ts'
import type { Call, Caller, OpenRoute, Resource, Route } from './route.ts'
import type { StepUpLevel } from '../step-up.ts'
import { REQUEST_STEP_UP, STEP_UP, stepUpOf, type StepUps } from './step-up.ts'
import { encoded, sendBytes, sendKept, sendLines } from './send.ts'

/** What the composition root gives the router: who somebody is, and whether they may. */
export type Deciders = {
  readonly authenticate: (presented: Presented) => Soon<Caller | undefined>
  /**
   * Throws `notPermitted` unless the policy permits, `approvalOwed` when others have to agree, and `insufficientUserAuthentication` when all that
   * is missing is a fresh proof of the person.
   */
  readonly decide: (
    caller: Caller,
    action: string,
    resource: Resource,
    context: Readonly<Record<string, unknown>>,
    stepUp?: StepUpLevel,
  ) => Soon<Permit>
  /** Resolves when this node decides by what was committed before: a call that changed something is answered after that. */
  readonly settled?: () => Promise<void>
  /** How others agree to a call. Without it, what they would have to approve is not to be had. */
  readonly approvals?: Approvals
  /** How people are asked for fresh proofs. Without it, what owes one is not to be had. */
  readonly stepUps?: StepUps
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
  const wire = wireOf(operation, request)
  const call: Call<Operation> = { ...openCall(needs, operation, wire, request, reply), caller }
  const key = idempotencyKey(operation, request)
  const act = await decided(needs, { route, call, wire }, request)
  if (act.kind === 'run' && operation.answer === 'stream') {
    return sendLines(reply, operation, await act.run(), call.signal)
  }
  if (act.kind === 'run' && operation.answer === 'bytes') return sendBytes(reply, operation, await act.run())
  const answer = async (): Promise<KeptAnswer> => {
    if (act.kind === 'ask') return { status: 202, body: JSON.stringify(await act.ask()) }
    const output = await act.run()
    if (operation.effect !== 'read') await needs.settled?.()
    return encoded(operation, output)
  }
  if (key === undefined) return sendKept(reply, await answer(), false)
  const keyed = { callerId: caller.id, key, requestSha256: fingerprint(request) }
  const problemAnswer = (problem: Problem) => ({
    status: problem.status,
    body: JSON.stringify(problemBody(problem, request.id)),
  })
  const kept = await needs.idempotency.once(keyed, answer, problemAnswer)
  return sendKept(reply, kept, kept.isReplay)
}

type Act =
  | { readonly kind: 'run'; readonly run: () => Promise<unknown> }
  | { readonly kind: 'ask'; readonly ask: () => Promise<unknown> }

/** What a call comes to, with the fresh proof of its person where it names one: that is spent with whatever runs. */
async function decided(needs: HandlerNeeds, asked: AskedCall, request: FastifyRequest): Promise<Act> {
  const stepUp = stepUpOf(request)
  if (stepUp.kind === 'none') return decidedAlone(needs, asked, approvalOf(request))
  const { stepUps } = needs
  const approval = approvalOf(request)
  if (!stepUps || approval.kind === 'wanted') {
    throw invalidInput('A step-up is for a call that runs: ask others first, and step up when it is applied.', {
      issues: [],
    })
  }
  const changeId = approval.kind === 'given' ? approval.changeId : null
  if (stepUp.kind === 'wanted') {
    return { kind: 'ask', ask: async () => z.encode(stepUps.output, await stepUps.ask(asked, changeId)) }
  }
  return {
    kind: 'run',
    run: async () => {
      const redeemed = await stepUps.redeem(asked, changeId, stepUp.stepUpId)
      const call = { ...asked.call, stepUp: redeemed.shown }
      const act = await decidedAlone(needs, { ...asked, call }, approval)
      if (act.kind !== 'run') throw new Error('a call with a step-up runs, or is refused')
      return redeemed.spend(act.run)
    },
  }
}

/** What a call comes to: it runs, by the caller's own right or because others agreed to it, or others are asked. */
async function decidedAlone(
  needs: HandlerNeeds,
  asked: AskedCall,
  approval: ReturnType<typeof approvalOf>,
): Promise<Act> {
  const { route, call } = asked
  const { operation } = route
  const { approvals } = needs
  if (approval.kind !== 'none' && !approvals) {
    throw invalidInput('Calls are not put before others here.', { issues: [] })
  }
  if (approval.kind === 'given' && approvals) {
    return { kind: 'run', run: async () => runApproved(asked, await approvals.redeem(asked, approval.changeId)) }
  }
  try {
    const resource = await route.resource(call)
    const context = await route.context(call)
    const permit = await needs.decide(call.caller, operation.id, resource, context, call.stepUp?.level)
    holdPermit(permit, operation.id, resource)
    return { kind: 'run', run: async () => route.run(call, permit) }
  } catch (error) {
    if (approval.kind !== 'wanted' || !approvals || !approvalOwed.is(error)) throw error
    return { kind: 'ask', ask: async () => z.encode(approvals.output, await approvals.ask(asked, approval.reason)) }
  }
}

/** Runs what others agreed to, and spends that agreement in doing so. */
export function runApproved({ route, call }: AskedCall, redeemed: Redeemed): Promise<unknown> {
  const { permit, resource } = redeemed
  holdPermit(permit, route.operation.id, resource)
  return redeemed.spend(async () => route.run(call, permit))
}

/** One call of an operation that needs no proof. */
export async function handleOpen(
  needs: HandlerNeeds,
  { operation, run }: OpenRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const call = openCall(needs, operation, wireOf(operation, request), request, reply)
  const output = await run(call)
  if (operation.effect !== 'read') await needs.settled?.()
  if (operation.answer === 'bytes') return sendBytes(reply, operation, output)
  return sendKept(reply, encoded(operation, output), false)
}

function openCall(
  needs: HandlerNeeds,
  operation: Operation,
  wire: Wire,
  request: FastifyRequest,
  reply: FastifyReply,
): Omit<Call<Operation>, 'caller'> {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('the caller went away'))
  })
  return {
    ...readInput(operation, wire),
    clientAddress: request.raw.socket.remoteAddress ?? '',
    signal: operation.answer === 'stream' ? AbortSignal.any([gone.signal, needs.stopping]) : gone.signal,
  }
}

/** The decision must be about what was asked: a wrong one is our own broken promise, and nothing runs on it. */
export function holdPermit(permit: unknown, action: string, resource: Resource): void {
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
  const { [REQUEST_APPROVAL]: wanted, [CHANGE]: given, [REQUEST_STEP_UP]: fresh, [STEP_UP]: proven } = request.headers
  // To ask others or the person, and to come back with what they said, are not the same as the call alone.
  const said = [wanted, given, fresh, proven]
  const approval = said.every((each) => each === undefined) ? '' : `${JSON.stringify(said)}\n`
  const head = Buffer.from(`${request.method} ${request.raw.url ?? ''}\n${approval}`, 'utf8')
  return sha256(Buffer.concat([head, bodyBytes(request)]))
}
