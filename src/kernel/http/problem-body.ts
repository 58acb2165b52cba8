import { z } from 'zod'
import { Problem } from '../problem.ts'
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
    const { slug, title, status } = internalError
    return { type: typeOf(slug), title, status, requestId }
  }
  const facts = z.safeEncode(error.kind.facts, error.facts)
  return {
    type: typeOf(error.slug),
    title: error.title,
    status: error.status,
    detail: error.message,
    requestId,
    ...(facts.success && Object.keys(facts.data).length > 0 && { facts: facts.data }),
  }
}

/** The reference that names a kind of problem; it is served by the API itself. */
export function typeOf(slug: string): string {
  return `/v1/problems/${slug}`
}
