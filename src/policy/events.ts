import { z } from 'zod'
import { event, shown, type EventKind } from '../kernel/event.ts'
import { ruleEvents } from './versions/events.ts'

const Sha256 = shown(z.string().length(64).describe('hexadecimal'))

export const policiesLoaded = event('policies.loaded', 'Another set of policies decides from here on.', {
  sha256: Sha256,
  policies: shown(z.array(z.string().max(200)).max(1000)).describe('ids of the policies, at most a thousand'),
  vocabularySha256: Sha256.optional().describe('what enforcement points call things, and what is listed of them'),
})

const Ref = z.object({
  type: z.string().max(64),
  id: z.string().max(100).describe('of the record; `print:…`, keyed per installation, of anything else'),
})

/** What it takes to ask the question again, for a simulation of other policies. */
export const decisionMade = event('decision.made', 'A question about an act was answered.', {
  via: shown(z.enum(['authzen', 'access', 'library'])),
  decided: shown(z.enum(['permit', 'owed', 'deny'])),
  asked: shown(z.string().max(128)).describe('the action'),
  chain: shown(z.array(Ref.extend({ proof: z.string().max(32).nullable() })).max(8)).describe('the subject first'),
  on: shown(Ref),
  context: shown(z.record(z.string().max(256), z.unknown())),
  isWhole: shown(z.boolean()).describe('whether the context is kept in full'),
  policies: shown(z.array(z.string().max(200)).max(100)).describe('those that determined it'),
  errors: shown(z.int()),
  decidedAt: shown(z.string().max(40)).optional().describe('of one that was made elsewhere'),
  sliceSha256: Sha256.describe('of the facts it was decided on'),
})

export const decisionsSearched = event('decisions.searched', 'An enforcement point asked who may, on what, or what.', {
  searched: shown(z.enum(['subjects', 'resources', 'actions'])),
  found: shown(z.int()),
  examined: shown(z.int()),
})

export const policiesSimulated = event('policies.simulated', 'Other policies were tried on recorded decisions.', {
  candidateSha256: Sha256,
  sinceAt: shown(z.string().max(40)),
  asked: shown(z.int()),
  changed: shown(z.int()),
})

export const policyEvents: readonly EventKind[] = [
  policiesLoaded,
  decisionMade,
  decisionsSearched,
  policiesSimulated,
  ...ruleEvents,
]
