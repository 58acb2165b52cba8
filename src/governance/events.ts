import { z } from 'zod'
import { adoptionEvents } from './adoption/events.ts'
import { findingEvents } from './findings/events.ts'
import { ownerDeclined } from './owners/events.ts'
import { toolsApproved } from './tools/events.ts'
import { event, shown, type EventKind } from '../kernel/event.ts'

export const standardLoaded = event('standard.loaded', 'Another governance standard counts from here on.', {
  sha256: shown(z.string().length(64).describe('hexadecimal')),
  version: shown(z.string().max(64)),
})

export const governanceEvents: readonly EventKind[] = [
  standardLoaded,
  ...findingEvents,
  ownerDeclined,
  ...adoptionEvents,
  toolsApproved,
]
