import { z } from 'zod'
import { personal, shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

export const StepUpLevel = shown(z.enum(['mfa', 'phishing-resistant']))
export const StepUpKind = shown(z.enum(['call', 'backchannel']))
/** `login`: again at a provider, which signs who and when, and not what for; never enough for `phishing-resistant`. */
export const StepUpProof = shown(z.enum(['passkey', 'login']))
export const StepUpState = shown(z.enum(['pending', 'proven', 'used', 'refused', 'expired']))

/** One act for which its person shows freshly that it is them. */
export const StepUp = z
  .object({
    id: Id,
    kind: StepUpKind.describe('call: one call of the API; backchannel: a token that a client asked for'),
    state: StepUpState,
    operation: shown(z.string()),
    person: Slug.describe('who has to show that it is them'),
    asker: Slug.describe('who will act'),
    level: StepUpLevel,
    lines: personal(z.array(z.string()).max(60)).describe('exactly what it is for, as the person reads it'),
    url: shown(z.string()).describe('where the person goes, in a browser'),
    code: z.string().nullable().describe('what the person enters there; told when it is asked for, and to its person'),
    provenBy: StepUpProof.nullable(),
    createdAt: Instant,
    expiresAt: Instant,
  })
  .meta({ id: 'StepUp' })
export type StepUp = z.output<typeof StepUp>
