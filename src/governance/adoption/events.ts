import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'

const Count = shown(z.int())

export const principalsAdopted = event(
  'inventory.adopted',
  'Principals that nobody claimed became identities; each has an entry of its own before this one.',
  { count: Count, left: Count, unseen: Count.describe('parts of sources that were not seen whole then') },
)
export const principalUnadopted = event('inventory.unadopted', 'A person took an adoption back.', {
  thingId: Id,
  accountIds: shown(z.array(z.uuid())).describe('that are nobody’s again'),
  reason: Reason,
})

export const adoptionEvents = [principalsAdopted, principalUnadopted]
