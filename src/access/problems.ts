import { z } from 'zod'
import { Instant } from '../kernel/instant.ts'
import { problem } from '../kernel/problem.ts'
import { EndReason, RequestState, USE_REFUSALS } from './schemas.ts'

export const requestNotPending = problem('request-not-pending', 409, 'The request is decided already', {
  requestId: z.uuid(),
  state: RequestState,
})
export const selfApproval = problem('self-approval', 403, 'Nobody decides on what is theirs', { requestId: z.uuid() })
export const alreadyApproved = problem('already-approved', 409, 'This person has spoken already', {
  requestId: z.uuid(),
})
export const boundChanged = problem('bound-changed', 409, 'What would be granted is not what was shown', {
  requestId: z.uuid(),
  state: RequestState,
})
export const noPossibleApprover = problem('no-possible-approver', 409, 'Nobody could approve this', {
  missing: z.array(z.string()),
})
export const purposeDoesNotCover = problem('purpose-does-not-cover', 422, 'The purpose does not cover this', {
  purpose: z.string(),
  missing: z.array(z.string()),
})
export const obligationsOwed = problem('obligations-owed', 422, 'Something is missing from the request', {
  owed: z.array(z.string()),
})
export const stepUpVoid = problem('step-up-void', 409, 'What the person proved themselves for is not this', {
  stepUpId: z.uuid(),
})
export const notDelegated = problem('not-delegated', 403, 'The caller may not ask on behalf of this identity', {
  identity: z.string(),
})
export const grantOver = problem('grant-over', 409, 'The grant is over', {
  grantId: z.uuid(),
  endedAt: Instant,
  reason: EndReason,
})
export const keyUnsuitable = problem('key-unsuitable', 422, 'The public key cannot be used', {})
export const keyTaken = problem('key-taken', 409, 'The public key proves something else already', {})
export const proofTooWeak = problem('proof-too-weak', 403, 'The caller proved less than the grant was given for', {
  needed: z.string(),
  shown: z.string(),
})

export const useRefused = problem('use-refused', 403, 'The grant cannot be used like this', {
  code: z.enum(USE_REFUSALS),
})
