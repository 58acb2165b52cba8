import { z } from 'zod'
import { event, personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { CaseReason, CaseState, EventType, Reason } from './contract.ts'

const Names = shown(z.array(z.string().max(200)).max(200))

export const userProvisioned = event('provisioned-user.created', 'An identity provider entered a person.', {
  userId: Id,
  identityId: Id,
  isActive: shown(z.boolean()),
})
export const userChanged = event('provisioned-user.changed', 'An identity provider changed what it says of a person.', {
  userId: Id,
  identityId: Id,
  fields: Names.describe('which, and not what they are'),
  isActive: shown(z.boolean()),
  moved: Names.describe('of these, what makes it a move'),
})
export const userRemoved = event('provisioned-user.deleted', 'An identity provider deleted a person.', {
  userId: Id,
  identityId: Id,
})
export const userLinked = event(
  'provisioned-user.linked',
  'A user of a provider stands for another person from here on.',
  {
    userId: Id,
    providerId: Id,
    identityId: Id,
    before: Id,
    reason: Reason,
  },
)
export const groupProvisioned = event('provisioned-group.created', 'An identity provider entered a group.', {
  groupId: Id,
  members: shown(z.int()),
})
export const groupChanged = event('provisioned-group.changed', 'An identity provider changed a group.', {
  groupId: Id,
  joined: shown(z.array(z.uuid()).max(1000)),
  left: shown(z.array(z.uuid()).max(1000)),
  joinedCount: shown(z.int()),
  leftCount: shown(z.int()),
})
export const groupRemoved = event('provisioned-group.deleted', 'An identity provider deleted a group.', {
  groupId: Id,
  left: shown(z.int()),
})

export const lifecycleReported = event('lifecycle-event.reported', 'A system reported that something ended.', {
  eventId: shown(z.string().max(200)),
  type: EventType,
  subject: shown(z.string().max(300)),
  occurredAt: Instant,
  cases: shown(z.array(z.uuid()).max(1000)),
  endedGrants: shown(z.array(z.uuid()).max(1000)),
})
export const vendorRevoked = event('vendor.revoked', 'All that a vendor holds was ended.', {
  vendor: Slug,
  identities: shown(z.array(z.uuid()).max(1000)),
  reason: Reason,
})
export const caseOpened = event('case.opened', 'An identity is on its way out of the record.', {
  identityId: Id,
  reason: CaseReason,
  detail: personal(z.string().max(500)),
  soakDays: shown(z.int()),
})
export const caseMoved = event('case.moved', 'A case went a step further.', {
  identityId: Id,
  from: CaseState,
  to: CaseState,
  heldBecause: personal(z.string().max(500)).nullable(),
})
export const caseHeld = event('case.held', 'A case waits for a person.', {
  identityId: Id,
  state: CaseState,
  because: personal(z.string().max(500)),
})
export const caseReleased = event('case.advanced', 'A person let a case go on.', {
  identityId: Id,
  state: CaseState,
  reason: Reason,
})
export const caseReopened = event('case.reopened', 'The identity of a case stays.', {
  identityId: Id,
  from: CaseState,
  reason: Reason,
})
export const caseClosed = event('case.closed', 'All that an identity held is proven dead.', {
  identityId: Id,
  proofs: shown(z.int()),
})
export const caseItemClosed = event('case.item-closed', 'What a case waited for elsewhere is dealt with.', {
  itemId: Id,
  evidence: shown(z.string().max(500)),
})

export const lifecycleEvents = [
  userProvisioned,
  userChanged,
  userRemoved,
  userLinked,
  groupProvisioned,
  groupChanged,
  groupRemoved,
  lifecycleReported,
  vendorRevoked,
  caseOpened,
  caseMoved,
  caseHeld,
  caseReleased,
  caseReopened,
  caseClosed,
  caseItemClosed,
]
