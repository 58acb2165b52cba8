import { z } from 'zod'
import { Reason } from '../identities/contract.ts'
import { event, personal, shown } from '../kernel/event.ts'
import { Id } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { passkeyEvents } from './passkeys/events.ts'
import { EndReason, LoginChannel, LoginMethod } from './schemas.ts'
import { stepUpEvents } from './step-up/events.ts'

const Text = shown(z.string())
const Ids = shown(z.array(z.uuid()))

export const loginSessionOpened = event('login-session.opened', 'A person logged in.', {
  sessionId: Id,
  channel: LoginChannel,
  method: LoginMethod,
  provider: Text.nullable(),
  acr: Text.nullable(),
  amr: shown(z.array(z.string())),
  authenticatedAt: Instant,
  parentId: Id.nullable(),
  clientAddress: personal(z.string()),
  clientAgent: personal(z.string()),
  expiresAt: Instant,
})
export const loginSessionsEnded = event('login-session.ended', 'Logins ended, with everything given for them.', {
  sessionIds: Ids,
  tokenIds: Ids,
  why: EndReason,
  reason: Reason.nullable(),
})
export const loginRefused = event('login.refused', 'A login of somebody who is known was refused.', {
  provider: Text,
  why: Text,
})
export const loginLinked = event('login-link.created', 'A subject of a provider may log in as a person.', {
  linkId: Id,
  provider: Text,
  issuer: Text,
  subject: personal(z.string()),
  enrolmentId: Id.nullable().describe('the one-time link that was spent on it'),
})
export const loginUnlinked = event('login-link.retired', 'A subject of a provider does not log in any more.', {
  linkId: Id,
  sessionIds: Ids,
  reason: Reason,
})
export const deviceDecided = event('device.decided', 'A person let a program in, or did not.', {
  authorizationId: Id,
  clientId: Text,
  isApproved: shown(z.boolean()),
  sessionId: Id.nullable(),
  clientAddress: personal(z.string()),
})

export const loginEvents = [
  ...passkeyEvents,
  ...stepUpEvents,
  loginSessionOpened,
  loginSessionsEnded,
  loginRefused,
  loginLinked,
  loginUnlinked,
  deviceDecided,
]
