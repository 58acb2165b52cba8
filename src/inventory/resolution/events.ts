import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'

const Count = shown(z.int())
const Text = shown(z.string())

export const inventoryResolved = event('inventory.resolved', 'What sources told was linked to the record.', {
  made: Count,
  ended: Count,
  byNativeId: Count,
  byFingerprint: Count,
})
export const inventoryLinked = event('inventory.linked', 'A person said that something of a source is an identity.', {
  linkId: Id,
  observedKind: Text,
  observedId: Id,
  reason: Reason,
})
export const inventoryUnlinked = event('inventory.unlinked', 'A person ended a link to an identity.', {
  linkId: Id,
  observedId: Id,
  how: Text,
  isDeclined: shown(z.boolean()).describe('it is not made again by itself'),
  reason: Reason,
})
export const identitiesMerged = event('inventory.merged', 'A person said that two identities are one.', {
  mergeId: Id,
  intoId: Id,
  reason: Reason,
})
export const identitiesSplit = event('inventory.split', 'A person took a merge of two identities back.', {
  mergeId: Id,
  intoId: Id,
  reason: Reason,
})

export const resolutionEvents = [
  inventoryResolved,
  inventoryLinked,
  inventoryUnlinked,
  identitiesMerged,
  identitiesSplit,
]
