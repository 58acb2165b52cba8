import { z } from 'zod'
import { event, shown, type EventKind } from '../kernel/event.ts'

const Sha256 = shown(z.string().length(64).describe('hexadecimal'))

export const policiesLoaded = event('policies.loaded', 'Another set of policies decides from here on.', {
  sha256: Sha256,
  policies: shown(z.array(z.string().max(200)).max(1000)).describe('ids of the policies, at most a thousand'),
})

export const policyEvents: readonly EventKind[] = [policiesLoaded]
