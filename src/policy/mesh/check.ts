/**
 * The door for proxies that ask before each request: `envoy.service.auth.v3.Authorization/Check`. The proxy is an enforcement point that
 * proves itself; what a request does is what the routes say, and who makes it is proven by a token of ours or by the certificate that the
 * proxy has verified. Whatever errs is turned away.
 */
import type { Caller } from '../../kernel/http/route.ts'
import { PROBLEM_TYPE, problemBody } from '../../kernel/http/problem-body.ts'
import { GRPC, GrpcError, type GrpcCall, type GrpcMethod } from '../../kernel/grpc/call.ts'
import { NotProtobuf } from '../../kernel/grpc/protobuf.ts'
import { notPermitted, unauthenticated, type Problem } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Db } from '../../kernel/db.ts'
import type { MeshPrincipal, MeshRoute } from '../../kernel/config/mesh.ts'
import type { Answer, AskedQuestion } from '../authzen/asked.ts'
import { evaluate, type EvaluateNeeds } from '../authzen/evaluate.ts'
import { readCheckRequest, type AskedRequest } from './attributes.ts'
import { compilePrincipals, compileRoutes, type Act } from './routes.ts'
import { derOf } from './certificate.ts'
import { goOn, turnAway, without } from './verdict.ts'

const CHECK_METHOD = '/envoy.service.auth.v3.Authorization/Check'

/** Headers of ours on their way to the service. */
const DECISION = 'x-reeve-decision'
const SUBJECT = 'x-reeve-subject'
const OURS = 'x-reeve-'
/** By these some servers take another method or path than the one that was decided on. */
const OVERRIDES = [
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
  'x-original-method',
  'x-forwarded-prefix',
]

export type MeshNeeds = EvaluateNeeds & {
  readonly db: Db
  readonly enforcementPoint: string
  readonly principals: readonly MeshPrincipal[]
  readonly routes: readonly MeshRoute[]
  /** Who a token proves, with the certificate whose key was shown beside it. */
  readonly authenticate: (shown: { bearer: Secret; certificate: Buffer | undefined }) => Promise<Caller | undefined>
  /** Throws unless this enforcement point may ask this question. */
  readonly mayAsk: (caller: Caller, question: AskedQuestion) => Promise<unknown>
  readonly onAnswer: (outcome: 'permit' | 'deny' | 'unproven' | 'unrouted' | 'failed') => void
}

/** What the listener for proxies offers. Throws where the routes or the rules of principals contradict themselves. */
export function meshMethods(needs: MeshNeeds): ReadonlyMap<string, GrpcMethod> {
  const door = { ...needs, actOf: compileRoutes(needs.routes), principalOf: compilePrincipals(needs.principals) }
  return new Map([[CHECK_METHOD, { kind: 'unary', run: (call) => check(door, call) }]])
}

type Opened = MeshNeeds & {
  readonly actOf: ReturnType<typeof compileRoutes>
  readonly principalOf: ReturnType<typeof compilePrincipals>
}

async function check(door: Opened, call: GrpcCall): Promise<Buffer> {
  try {
    const proxy = await proxyOf(door, call)
    const request = readCheckRequest(call.message)
    const act = door.actOf(request)
    if (!act) return turnedAway(door, 'unrouted', request, notPermitted(NO_ROUTE, factsOf('none', [NO_ROUTE], '')))
    const subject = await subjectOf(door, request)
    if (!subject) {
      const how = 'Send a valid token as `Authorization: Bearer …`, or show a certificate that proves an identity.'
      return turnedAway(door, 'unproven', request, unauthenticated(how, {}))
    }
    const question = questionOf(act, subject)
    await door.mayAsk(proxy, question)
    return verdictOf(door, request, act, subject, await evaluate(door.db, door, actorOf(proxy), question))
  } catch (error) {
    door.onAnswer('failed')
    if (error instanceof NotProtobuf) throw new GrpcError(GRPC.invalidArgument, 'this is no CheckRequest')
    if (notPermitted.is(error)) throw new GrpcError(GRPC.permissionDenied, 'this proxy may not ask that')
    throw error
  }
}

const NO_ROUTE = 'No route of this door says what this request does.'

function actorOf({ id, kind }: Caller) {
  return { id, kind }
}

/** The proxy proves itself as any caller of the API does: by its token, and by the key that is bound to where it has one. */
async function proxyOf(door: Opened, { metadata, certificate }: GrpcCall): Promise<Caller> {
  const bearer = bearerIn(metadata.authorization ?? '')
  const caller = bearer && (await door.authenticate({ bearer, certificate }))
  if (!caller) throw new GrpcError(GRPC.unauthenticated, 'send the token of the enforcement point')
  const isPoint = caller.name === door.enforcementPoint && (caller.kind === 'workload' || caller.kind === 'machine')
  if (!isPoint) throw new GrpcError(GRPC.permissionDenied, 'this is not the enforcement point of this door')
  return caller
}

function bearerIn(header: string): Secret | undefined {
  const match = /^Bearer ([A-Za-z0-9._~+/-]{1,4096}=*)$/i.exec(header)
  return match?.[1] === undefined ? undefined : new Secret(match[1])
}

type Subject = {
  readonly type: string
  readonly id: string
  readonly name: string
  readonly proof: string
  /** Whether the token was ours: it goes no further then. */
  readonly isBearer: boolean
}

/** A token of ours counts alone: one that is not valid is not made good by a certificate. */
async function subjectOf(
  door: Opened,
  { headers, principal, certificate }: AskedRequest,
): Promise<Subject | undefined> {
  const header = headers.get('authorization') ?? ''
  if (header.includes(TOKEN_PREFIX)) {
    const bearer = bearerIn(header)
    const caller = bearer && (await door.authenticate({ bearer, certificate: derOf(certificate) }))
    return caller && { type: 'identity', id: caller.id, name: caller.name, proof: caller.proof, isBearer: true }
  }
  const proven = principal === '' ? undefined : door.principalOf(principal)
  return proven && { ...proven, name: proven.id, isBearer: false }
}

const TOKEN_PREFIX = 'reeve_'

function questionOf({ action, resource, purpose }: Act, { type, id, proof }: Subject): AskedQuestion {
  return {
    subject: { type, id, properties: { proof } },
    action: { name: action },
    resource: { type: resource.type, id: resource.id, properties: { ...resource.properties } },
    context: purpose === undefined ? {} : { purpose },
  }
}

function verdictOf(door: Opened, request: AskedRequest, act: Act, subject: Subject, answer: Answer): Buffer {
  const { decision, context } = answer
  const { evaluation_id: id = '', owed = [], reasons = [] } = context
  if (!decision) {
    const told = owed.length > 0 ? owed : reasons
    const detail = `${owed.length > 0 ? 'Something is owed for this.' : 'This is not permitted.'} ${told.join(' ')}`
    return turnedAway(door, 'deny', request, notPermitted(short(detail), factsOf(act.action, told, id)))
  }
  door.onAnswer('permit')
  const set = { [DECISION]: id, [SUBJECT]: subject.name }
  const removed = [subject.isBearer ? WITHOUT_TOKEN : WITHOUT_OVERRIDES]
  for (const name of request.headers.keys()) {
    if (name.startsWith(OURS) && name !== DECISION && name !== SUBJECT) removed.push(without([name]))
  }
  return goOn(set, removed)
}

const WITHOUT_OVERRIDES = without(OVERRIDES)
const WITHOUT_TOKEN = without([...OVERRIDES, 'authorization'])

const MOST_REASONS = 10
const LONGEST_REASON = 300

function short(text: string): string {
  return text.slice(0, LONGEST_REASON)
}

/** Bounded, so that an answer is no larger than a page. */
function factsOf(action: string, reasons: readonly string[], decisionId: string) {
  return { action, reasons: reasons.slice(0, MOST_REASONS).map(short), decisionId }
}

function turnedAway(
  door: Opened,
  outcome: 'deny' | 'unproven' | 'unrouted',
  request: AskedRequest,
  problem: Problem,
): Buffer {
  door.onAnswer(outcome)
  const given = request.headers.get('x-request-id') ?? ''
  const requestId = /^[\x21\x23-\x7e]{1,200}$/.test(given) ? given : newId(door.clock, door.random)
  const code = outcome === 'unproven' ? 401 : 403
  const headers = { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store' }
  return turnAway(
    code,
    code === 401 ? { ...headers, 'www-authenticate': 'Bearer' } : headers,
    JSON.stringify(problemBody(problem, requestId)),
  )
}
