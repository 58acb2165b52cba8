import { z } from 'zod'
import { insufficientUserAuthentication, Problem, type ProblemKind } from '../problem.ts'
import { internalError } from './problems.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** RFC 9457 §3.1, on the wire. Facts stand in a member of their own, so that no name of theirs meets a reserved one. */
export type ProblemBody = {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail?: string
  readonly requestId: string
  readonly facts?: unknown
}

/** A problem as its caller sees it; facts pass through their schema, so an undeclared one does not leave. Anything else is a 500 that says nothing. */
export function problemBody(error: unknown, requestId: string): ProblemBody {
  if (!(error instanceof Problem)) {
    const { title, status } = internalError
    return { type: typeOf(internalError), title, status, requestId }
  }
  const facts = z.safeEncode(error.kind.facts, error.facts)
  return {
    type: typeOf(error.kind),
    title: error.title,
    status: error.status,
    detail: error.message,
    requestId,
    ...(facts.success && Object.keys(facts.data).length > 0 && { facts: facts.data }),
  }
}

/** A problem as it is sent: its status, its own headers one after the other, and its text. */
export function problemAnswer(
  error: unknown,
  requestId: string,
  challenge = 'Bearer',
): { readonly status: number; readonly headers: readonly string[]; readonly text: string } {
  const body = problemBody(error, requestId)
  const retryAfter: unknown = error instanceof Problem ? error.facts['retryAfterSeconds'] : undefined
  const headers = ['content-type', PROBLEM_TYPE]
  if (body.status === 401) headers.push('www-authenticate', steppingUp(error) ?? challenge)
  if (typeof retryAfter === 'number') headers.push('retry-after', String(retryAfter))
  return { status: body.status, headers, text: JSON.stringify(body) }
}

/** RFC 9470 §3: the proof was good, and not fresh or strong enough for this act. */
function steppingUp(error: unknown): string | undefined {
  if (!insufficientUserAuthentication.is(error)) return undefined
  const { acrValues, maxAgeSeconds } = insufficientUserAuthentication.facts.parse(error.facts)
  return [
    'Bearer error="insufficient_user_authentication"',
    'error_description="The person has to show freshly that it is them"',
    `acr_values="${z.array(z.string()).parse(acrValues).join(' ')}"`,
    `max_age="${String(maxAgeSeconds)}"`,
  ].join(', ')
}

/** The reference that names a kind of problem. Ours are served by the API itself. */
export function typeOf({ slug, type }: Pick<ProblemKind, 'slug' | 'type'>): string {
  return type ?? `/v1/problems/${slug}`
}
