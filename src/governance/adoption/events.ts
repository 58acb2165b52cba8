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

/** An id and an id behind it: what it was, what it became. */
const Pairs = shown(z.array(z.string().max(73)).max(500))

export const batchAdopted = event(
  'adoption.batch-adopted',
  'Principals that nobody claimed and a rule names became identities: one batch of an act.',
  {
    runId: Id,
    batch: Count.describe('from 1'),
    rule: shown(z.string().max(2000)).describe('as JSON'),
    things: Pairs.describe('what was adopted = the identity made of it'),
    recordsSha256: shown(z.string().length(64)).describe(
      'of all that is recorded of these identities, with the evidence of each',
    ),
    left: Count,
    unmatched: Count,
    isLast: shown(z.boolean()),
  },
)
export const batchUnadopted = event('adoption.batch-undone', 'A batch of an adoption by a rule was taken back.', {
  runId: Id,
  identityIds: shown(z.array(z.uuid()).max(500)).describe('that are retired by it'),
  kept: Count.describe('that stay, since somebody answers for them or they act; 0 until the last batch'),
  isLast: shown(z.boolean()),
  reason: Reason,
})

export const adoptionEvents = [principalsAdopted, principalUnadopted, batchAdopted, batchUnadopted]
