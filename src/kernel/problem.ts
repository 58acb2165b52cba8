import { z } from 'zod'

/** RFC 9457: something a caller can act on. `slug` is public for ever; `detail` is a sentence for a person; facts are typed. */
export class Problem extends Error {
  readonly slug: string
  readonly status: number
  readonly title: string
  readonly facts: Record<string, unknown>
  /** Its declaration; facts leave the process only through its schema. */
  readonly kind: ProblemKind

  constructor(kind: ProblemKind, detail: string, facts: Record<string, unknown>, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'Problem'
    this.slug = kind.slug
    this.status = kind.status
    this.title = kind.title
    this.facts = facts
    this.kind = kind
  }
}

/** What is known of a problem before it happens: enough for the catalogue and the OpenAPI document. */
export type ProblemKind = {
  readonly slug: string
  readonly status: number
  readonly title: string
  readonly facts: z.ZodObject
  /** Where a standard names it: the whole reference, instead of ours. */
  readonly type?: string
}

export type ProblemMaker<Facts extends z.ZodRawShape> = ProblemKind &
  ((detail: string, facts: z.output<z.ZodObject<Facts>>, options?: ErrorOptions) => Problem) & {
    /** Whether `error` is a problem of this kind. */
    is(error: unknown): error is Problem
  }

/** Declares a problem. The result makes instances and carries the declaration. */
export function problem<Facts extends z.ZodRawShape>(
  slug: string,
  status: number,
  title: string,
  facts: Facts,
  type?: string,
): ProblemMaker<Facts> {
  const kind: ProblemKind = { slug, status, title, facts: z.object(facts), ...(type !== undefined && { type }) }
  const make = (detail: string, given: z.output<z.ZodObject<Facts>>, options?: ErrorOptions) =>
    new Problem(kind, detail, given, options)
  return Object.assign(make, kind, {
    is: (error: unknown): error is Problem => error instanceof Problem && error.slug === slug,
  })
}

// The problems every operation may end in.
export const invalidInput = problem('invalid-input', 400, 'The input is not valid', {
  issues: z.array(z.object({ path: z.string(), message: z.string() })).max(100),
})
export const unauthenticated = problem('unauthenticated', 401, 'The caller did not prove an identity', {})
export const notPermitted = problem('not-permitted', 403, 'The policy does not permit this', {
  action: z.string(),
  reasons: z.array(z.string()).max(100),
  decisionId: z.string(),
})
/** Permitted, once others have agreed; `missing` has a way to get there per entry. */
export const approvalOwed = problem('approval-owed', 403, 'Others have to approve this', {
  action: z.string(),
  missing: z.array(z.string()).max(256),
  decisionId: z.string(),
})
/** Permitted, once the person has freshly shown that it is them (RFC 9470 §3): who calls asks for that with `Reeve-Request-Step-Up`. */
export const insufficientUserAuthentication = problem(
  'insufficient-user-authentication',
  401,
  'The person has to show freshly that it is them',
  {
    action: z.string(),
    level: z.enum(['mfa', 'phishing-resistant']),
    acrValues: z.array(z.string()).max(8),
    maxAgeSeconds: z.int(),
    decisionId: z.string(),
  },
)
export const notFound = problem('not-found', 404, 'There is no such thing', { type: z.string(), id: z.string() })
export const conflict = problem('conflict', 409, 'The thing is not in a state that allows this', {
  type: z.string(),
  id: z.string(),
  state: z.string(),
})
export const nameTaken = problem('name-taken', 409, 'The name is taken', { type: z.string(), name: z.string() })
export const tooManyRequests = problem('too-many-requests', 429, 'Too many requests', { retryAfterSeconds: z.int() })
export const unavailable = problem('unavailable', 503, 'This node cannot answer now', { retryAfterSeconds: z.int() })
