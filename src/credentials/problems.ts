import { z } from 'zod'
import { problem } from '../kernel/problem.ts'

/** The grant is over, so nothing is issued under it. */
export const leaseRefused = problem('lease-refused', 409, 'No credential is issued under this grant', {
  grantId: z.uuid(),
})
/** The account has no way to be acted as: what is missing is in the sentence. */
export const leaseImpossible = problem('lease-impossible', 409, 'The account cannot be leased', {
  grantId: z.uuid(),
  accountId: z.uuid(),
})
/** The target did not let the credential be made, now; trying again makes sense. */
export const leaseUnavailable = problem('lease-unavailable', 503, 'The target could not issue a credential', {
  grantId: z.uuid(),
  retryAfterSeconds: z.int(),
})
