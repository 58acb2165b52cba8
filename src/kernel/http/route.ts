import type { z } from 'zod'
import type { PolicyValue } from '../entity.ts'
import type { Operation } from '../operation.ts'
import type { EntityRef, Permit } from '../permit.ts'
import type { Soon } from '../soon.ts'
import type { StepUpLevel, StepUpShown } from '../step-up.ts'

/** An identity that proved itself to the API. `kind` is the shared record's. */
export type Caller = {
  readonly id: string
  readonly name: string
  readonly kind: 'human' | 'machine' | 'workload' | 'agent'
  readonly proof: 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey'
  /** The token or certificate it came with, so that a caller can end exactly this proof. */
  readonly proofId: string
  /** Whom it acts for, as its token says: a person. */
  readonly onBehalfOfId?: string
  /** What its token is narrowed to, where it is (RFC 9396): one of these is enough, and all that one names must hold. */
  readonly narrowedTo?: readonly Narrowing[]
  /** Of a person who logged in: which login this call belongs to, and how strong it was. */
  readonly session?: CallerSession
}

/** A login of a person, as whoever authenticated them told it (OpenID Connect Core §2). */
type CallerSession = {
  readonly id: string
  readonly authTime: Date
  readonly acr: string | null
  readonly amr: readonly string[]
}

type Narrowing = {
  readonly type: 'urn:reeve:access'
  readonly purpose?: string | undefined
  readonly targets?: readonly string[] | undefined
  readonly accounts?: readonly string[] | undefined
  readonly actions?: readonly string[] | undefined
}

/** What a decision needs to know of the thing it is about: AuthZEN's resource with its properties. */
export type Resource = EntityRef & {
  readonly attributes: Readonly<Record<string, PolicyValue>>
  /** Things it belongs to, for `in` (a grant is in its target, for example). */
  readonly parents?: readonly EntityRef[]
}

/** One call of an operation, validated. */
export type Call<Op extends Operation> = {
  readonly params: z.output<Op['params']>
  readonly query: z.output<Op['query']>
  readonly input: z.output<Op['input']>
  readonly caller: Caller
  readonly clientAddress: string
  readonly signal: AbortSignal
  /** What its person freshly proved for exactly this call. */
  readonly stepUp?: StepUpShown
}

/** What a call binds beyond what it says: what would be granted, by the hash that approvers sign off. */
export type Inner = {
  /** What it owes of its person beside the operation itself. */
  readonly level: StepUpLevel | 'none'
  readonly boundSha256: Buffer
}

/** The output, or its lines where the operation streams. */
export type Answer<Op extends Operation> = z.output<Op['output']> | AsyncIterable<z.output<Op['output']>>

/** An operation with what it does. The router validates, authenticates, asks `resource`, decides, and only then runs. */
export type Route = {
  readonly operation: Operation
  readonly resource: (call: Call<Operation>) => Soon<Resource>
  readonly context: (call: Call<Operation>) => Soon<Readonly<Record<string, PolicyValue>>>
  /** What the call would do, in lines that whoever has to approve it reads and is bound to. */
  readonly preview: (call: Call<Operation>) => Promise<readonly string[]>
  /** What it would have meant for what was decided before: found once, when others are asked, kept with the call and bound as well. */
  readonly simulation: (call: Call<Operation>) => Promise<readonly string[]>
  /** Of an operation that decides about more than itself: what that binds. */
  readonly inner?: (call: Call<Operation>) => Promise<Inner>
  readonly run: (call: Call<Operation>, permit: Permit) => Soon<unknown>
  readonly quick?: Quick
}

/**
 * Lets an operation be answered without the framework. For a POST that reads, whose path holds no parameter, whose answer is JSON, and whose
 * code answers with exactly what its output declares.
 */
type Quick = {
  /** What the input's schema makes of the value, or undefined where that is not plain: then the schema is asked. */
  readonly plain: (value: unknown) => unknown
}

/**
 * Binds an operation to its code. `resource` loads what the decision is about and throws `notFound` for what the caller may not know of;
 * `run` gets the permit for exactly this operation and resource.
 */
export function route<Op extends Operation>(
  operation: Op,
  bound: {
    resource: (call: Call<Op>) => Soon<Resource>
    context?: (call: Call<Op>) => Soon<Readonly<Record<string, PolicyValue>>>
    preview?: (call: Call<Op>) => Promise<readonly string[]>
    simulation?: (call: Call<Op>) => Promise<readonly string[]>
    inner?: (call: Call<Op>) => Promise<Inner>
    run: (call: Call<Op>, permit: Permit<Op['id']>) => Soon<Answer<Op>>
    quick?: { plain: (value: unknown) => z.output<Op['input']> | undefined }
  },
): Route {
  // The router calls these only with what it parsed by this operation's own schemas and a permit for its own id.
  const nothing = { context: () => NOTHING, preview: async () => [], simulation: async () => [] }
  const erased: unknown = { operation, ...nothing, ...bound }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where the operation's types are erased
  return erased as Route
}

/** Of most calls policies see no more than who, what and where. */
const NOTHING = Object.freeze({})

/** An operation that needs no proof and no decision: enrolment and health. */
export type OpenRoute = {
  readonly operation: Operation
  readonly run: (call: Omit<Call<Operation>, 'caller'>) => Promise<unknown>
}

export function openRoute<Op extends Operation>(
  operation: Op,
  run: (call: Omit<Call<Op>, 'caller'>) => Promise<z.output<Op['output']>>,
): OpenRoute {
  const erased: unknown = { operation, run }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return erased as OpenRoute
}

/** A thing there is one of, such as the installation or a collection: creating in it is decided on it. */
export function installation(type = 'Installation'): Resource {
  return { type, id: 'installation', attributes: { id: 'installation' } }
}
