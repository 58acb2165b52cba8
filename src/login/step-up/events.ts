import { z } from 'zod'
import { event, personal, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { StepUpKind, StepUpLevel } from './schemas.ts'

const Text = shown(z.string())

export const stepUpAsked = event('step-up.asked', 'A person is asked to show freshly that it is them.', {
  stepUpId: Id,
  kind: StepUpKind,
  personId: Id,
  operation: Text,
  level: StepUpLevel,
  actSha256: Text.describe('of everything that will be done'),
  nonce: Text,
  innerSha256: Text.nullable().describe('of a request for access: the hash that its approvers sign off'),
  lines: personal(z.array(z.string())),
  clientAddress: personal(z.string()),
  expiresAt: Instant,
})
export const stepUpMissed = event('step-up.missed', 'A code was entered that is not the one of this step-up.', {
  stepUpId: Id,
  misses: shown(z.int()),
})
export const stepUpProven = event('step-up.proven', 'A person showed freshly that it is them, for one act.', {
  stepUpId: Id,
  provenBy: shown(z.enum(['passkey'])),
  level: StepUpLevel,
  actSha256: Text,
  passkeyId: Id,
  publicKeySha256: Text.describe('of the key that signed, as it was when it was registered'),
  authenticatorData: Text,
  clientDataJson: Text.describe('holds the challenge: the hash over the id, the nonce and the act'),
  signature: Text,
})
export const stepUpProvenByLogin = event(
  'step-up.proven-by-login',
  'A person logged in again at a provider, for one act. The provider signed who it was and when, and not what for.',
  {
    stepUpId: Id,
    level: StepUpLevel,
    actSha256: Text,
    provider: Text,
    issuer: Text,
    acr: Text,
    authenticatedAt: Instant.describe('when the provider says that the person proved themselves there'),
  },
)
export const stepUpRefused = event('step-up.refused', 'A step-up will not be used.', { stepUpId: Id, why: Text })
export const stepUpUsed = event('step-up.used', 'A fresh proof was spent on the act that it is for.', {
  stepUpId: Id,
  operation: Text,
  actSha256: Text,
  personId: Id,
})

export const stepUpEvents = [stepUpAsked, stepUpMissed, stepUpProven, stepUpProvenByLogin, stepUpRefused, stepUpUsed]
