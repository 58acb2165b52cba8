import { z } from 'zod'
import { problem } from '../problem.ts'

// What the listener itself answers, before or around an operation.
export const noSuchRoute = problem('no-such-route', 404, 'There is no such route', {})
export const bodyTooLarge = problem('body-too-large', 413, 'The body is too large', { limitBytes: z.int() })
export const unsupportedMediaType = problem('unsupported-media-type', 415, 'The body is not JSON', {})
export const unknownHost = problem('unknown-host', 421, 'The request names a host that this node is not', {})
export const foreignOrigin = problem('foreign-origin', 403, 'The request comes from a page of another origin', {})
export const malformedRequest = problem('malformed-request', 400, 'The request is not well-formed', {})
export const internalError = problem('internal-error', 500, 'Reeve broke a promise', {})
export const keyReused = problem('idempotency-key-reused', 409, 'The Idempotency-Key was used for another request', {})
export const keyInProgress = problem(
  'idempotency-key-in-progress',
  409,
  'The first request with this Idempotency-Key has no answer yet',
  { outcome: z.enum(['running', 'unknown']) },
)

/** Every operation may end in one of these as well. */
export const HTTP_PROBLEMS = [
  noSuchRoute,
  bodyTooLarge,
  unsupportedMediaType,
  unknownHost,
  foreignOrigin,
  malformedRequest,
  internalError,
  keyReused,
  keyInProgress,
]
