import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { Signal } from './schemas.ts'

const { jti, type, about, aboutId, identityId, targetId, severity, reason, occurredAt, expiresAt } = Signal.shape

export const signalReceived = event('signal.received', 'A registered sender reported something.', {
  jti,
  type,
  about,
  aboutId,
  identityId,
  targetId,
  severity,
  reason,
  occurredAt,
  expiresAt,
  endsGrants: shown(z.boolean()).describe('whether grants end at once because of it'),
})
export const signalWithdrawn = event('signal.withdrawn', 'A signal is in force no more.', {
  signalId: Id,
  senderId: Id,
  type,
  identityId,
  targetId,
  withdrawnAt: Instant,
  reason: Reason,
})

export const signalEvents = [signalReceived, signalWithdrawn]
