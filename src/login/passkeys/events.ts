import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { PASSKEY_REFUSALS } from './refused.ts'

const Flag = shown(z.boolean())

export const passkeyRegistered = event('passkey.registered', 'A person has a passkey.', {
  passkeyId: Id,
  credentialIdSha256: shown(z.string()),
  publicKeySha256: shown(z.string()),
  aaguid: shown(z.guid()),
  isBackupEligible: Flag,
  isBackedUp: Flag,
  label: shown(z.string()),
  enrolmentId: Id.nullable().describe('the one-time link that was spent on it'),
  provenById: Id.nullable().describe('the passkey by which its person agreed to this one'),
})
export const passkeyUsed = event('passkey.used', 'A person proved themselves by a passkey.', {
  passkeyId: Id,
  counter: shown(z.int()),
  isBackedUp: Flag,
})
export const passkeyTurnedAway = event('passkey.refused', 'What a passkey of somebody signed was not taken.', {
  passkeyId: Id,
  code: shown(z.enum(PASSKEY_REFUSALS)),
  counter: shown(z.int()).nullable(),
})
export const passkeyRemoved = event('passkey.removed', 'A passkey proves nothing any more.', {
  passkeyId: Id,
  identityId: Id,
})

export const passkeyEvents = [passkeyRegistered, passkeyUsed, passkeyTurnedAway, passkeyRemoved]
