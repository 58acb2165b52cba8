import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'

const Sha256 = shown(z.string().length(64).describe('hexadecimal'))
const Count = shown(z.int())

export const policiesProposed = event(
  'policies.proposed',
  'A version of the policies was kept; it decides nothing yet.',
  {
    sha256: Sha256,
    origin: shown(z.enum(['shipped', 'proposed'])),
    files: shown(z.array(z.object({ name: z.string(), sha256: z.string() }))),
    policies: Count.describe('how many'),
    note: Reason.nullable(),
  },
)
export const policiesActivated = event('policies.activated', 'A version of the policies decides from here on.', {
  sha256: Sha256,
  versionId: Id,
  seq: Count,
  before: Sha256.nullable().describe('of the version that decided until then'),
  isRevert: shown(z.boolean()),
})

export const policyVersionEvents = [policiesProposed, policiesActivated]
