import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { Reason } from '../../catalog/contract.ts'

const Text = shown(z.string())

export const rotationPlanned = event(
  'rotation.planned',
  'A login at a target is about to get a new secret, sealed beside the old one.',
  {
    targetId: Id,
    accountId: Id.nullable(),
    principal: Text,
    endsSessions: shown(z.boolean()),
    isScheduled: shown(z.boolean()),
    reason: Reason.nullable(),
  },
)
export const rotationTried = event('rotation.tried', 'A rotation is about to be carried on.', {
  state: Text,
  attempt: shown(z.int()),
})
export const rotationRegenerated = event('rotation.regenerated', 'A target refused the new secret; another was made.', {
  generation: shown(z.int()),
})
export const rotationIssued = event('rotation.issued', 'The target knows the new secret of a login.', {
  principal: Text,
  wasKnown: shown(z.boolean()).describe('it knew it already, from an attempt that was cut short'),
})
export const rotationReissued = event(
  'rotation.reissued',
  'A target forgot the new secret, as one does that came back from a backup; it is told again.',
  { principal: Text },
)
export const rotationVerified = event('rotation.verified', 'A login with the new secret was let in.', {
  principal: Text,
})
export const rotationAdopted = event('rotation.adopted', 'The new secret took the place of the old one.', {
  principal: Text,
  uses: shown(z.array(z.uuid()).max(1000)).describe('of grants, open with the old secret'),
  areUsesCut: shown(z.boolean()),
})
export const rotationDead = event('rotation.dead', 'The old secret of a login was proven dead.', {
  principal: Text,
  evidence: shown(z.record(z.string(), z.json())),
})
export const rotationSuperseded = event(
  'rotation.superseded',
  'Somebody gave another login meanwhile, which works; the rotation is over.',
  { principal: Text },
)
export const rotationFailed = event('rotation.failed', 'A rotation could not be carried on and stays open.', {
  state: Text,
  error: Text,
  escalation: shown(z.enum(['none', 'owner', 'security'])),
})
export const rotationWoken = event('rotation.woken', 'Somebody asked to go on with a rotation now.', {})
export const rotationScheduled = event('rotation.scheduled', 'It was said how often a login is rotated.', {
  targetId: Id,
  accountId: Id.nullable(),
  everyDays: shown(z.int()).nullable(),
  reason: Reason,
})
export const rotationDue = event('rotation.due', 'A login was due to be rotated.', {
  principal: Text.nullable().describe('null: there is no such login any more, and the schedule is over'),
  isStarted: shown(z.boolean()).describe('otherwise it is being rotated already'),
})
export const accountCertified = event('account.certified', 'A person said that an account and its login are right.', {
  goodBefore: Instant,
  statement: Reason,
})

export const rotationEvents = [
  rotationPlanned,
  rotationTried,
  rotationRegenerated,
  rotationIssued,
  rotationReissued,
  rotationVerified,
  rotationAdopted,
  rotationDead,
  rotationSuperseded,
  rotationFailed,
  rotationWoken,
  rotationScheduled,
  rotationDue,
  accountCertified,
]
