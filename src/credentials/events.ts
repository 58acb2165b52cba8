import { z } from 'zod'
import { event, shown } from '../kernel/event.ts'
import { Id } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { Escalation, Evidence } from './contract.ts'
import { custodyEvents } from './custody/events.ts'
import { issuedEvents } from './issued/events.ts'
import { Revocability } from './revocability.ts'
import { machineEvents } from './machines/events.ts'
import { rotationEvents } from './rotation/events.ts'
import { spiffeEvents } from './spiffe/events.ts'
import { federationEvents } from './spiffe/federation-events.ts'
import { sshEvents } from './ssh/events.ts'

const Text = shown(z.string())
const Ids = shown(z.array(z.uuid()).max(1000))

export const leaseAnnounced = event('lease.announced', 'A credential is about to be made at a target.', {
  targetId: Id,
  accountId: Id,
  leaseKind: Text,
  principal: Text,
  revocability: Revocability,
  validUntil: Instant,
})
export const leaseIssued = event('lease.issued', 'A credential was made at a target.', {
  principal: Text,
  /** Until when it may be taken for good although it was ended; null: no longer than its end takes. */
  residualBefore: Instant.nullable(),
})
export const leaseKept = event('lease.kept', 'What is needed to end a credential was noted before it was made.', {})
export const leaseOutlasts = event(
  'lease.outlasts',
  'A credential was ended as far as its target allows; it lives on until the instant that was declared.',
  { until: Instant, why: Text },
)
export const leaseGivenUp = event('lease.given-up', 'A credential that was announced is ended before its use.', {
  leaseIds: Ids,
  why: shown(z.enum(['issue-failed', 'never-issued', 'grant-over', 'renewed'])),
})
export const leaseEndTried = event('lease.end-tried', 'Credentials are about to be ended at a target.', {
  leaseIds: Ids,
})
export const leaseEndFailed = event('lease.end-failed', 'Credentials could not be ended and stay open obligations.', {
  leases: shown(z.int()),
  leaseIds: Ids.describe('those that were being worked on; a target that is down stands for all of its leases'),
  error: Text,
  escalation: Escalation,
})
export const leaseDead = event('lease.dead', 'A credential was proven dead at its target.', {
  principal: Text,
  evidence: Evidence,
})
export const leaseResidue = event('lease.residue', 'Something that outlives a lease appeared at its target.', {
  targetId: Id,
  principal: Text,
  /** `role orders: batch_login`: what kind, where, which. */
  appeared: shown(z.array(z.string()).max(200)),
  /** What could not be looked at: a missing line there is no proof. */
  unread: shown(z.array(z.string()).max(200)),
  isCut: shown(z.boolean()).describe('whether more appeared than is listed'),
})
export const leaseWoken = event('lease.woken', 'Somebody asked to try now to end a lease.', {})

export const credentialEvents = [
  leaseAnnounced,
  leaseIssued,
  leaseKept,
  leaseOutlasts,
  leaseGivenUp,
  leaseEndTried,
  leaseEndFailed,
  leaseDead,
  leaseResidue,
  leaseWoken,
  ...custodyEvents,
  ...issuedEvents,
  ...rotationEvents,
  ...spiffeEvents,
  ...federationEvents,
  ...machineEvents,
  ...sshEvents,
]
