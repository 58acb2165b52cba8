import { problem } from '../../kernel/problem.ts'
import { z } from 'zod'

/** Why what an authenticator sent proves nothing. The code is for the ledger and for tests; who sent it reads the sentence. */
export const PASSKEY_REFUSALS = ['unknown', 'over', 'mismatch', 'copied', 'not-theirs', 'unverified'] as const

export const passkeyRefused = problem('passkey-refused', 403, 'The passkey does not prove this', {
  code: z.enum(PASSKEY_REFUSALS),
})
export const lastPasskey = problem('last-passkey', 409, 'A person keeps one passkey', { identityId: z.uuid() })
