import { z } from 'zod'
import { problem } from '../kernel/problem.ts'

/** What is wrong with one policy, and where. */
const Fault = z.object({
  file: z.string(),
  policy: z.string().describe('id of the policy'),
  line: z.int(),
  column: z.int(),
  message: z.string(),
  help: z.string().nullable(),
})
export type Fault = z.output<typeof Fault>

/** More faults than this are not read by anybody. */
export const MAX_FAULTS = 100

export const policySetInvalid = problem('policy-set-invalid', 422, 'The policy set is not valid', {
  faults: z.array(Fault).max(MAX_FAULTS),
})
