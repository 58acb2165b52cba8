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
    strategy: Text,
    occasion: Text,
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
export const rotationDistributed = event(
  'rotation.distributed',
  'The new secret took the place of the old one: it is what anybody is given from here on.',
  {
    principal: Text,
    uses: shown(z.array(z.uuid()).max(1000)).describe('of grants, open with the old secret'),
    areUsesCut: shown(z.boolean()),
  },
)
export const rotationTold = event(
  'rotation.told',
  'The hook of its consumers answered that there is a new secret. That they took it up is not said by it.',
  { principal: Text },
)
export const consumersSeen = event(
  'consumer.seen',
  'Consumers of an account were seen at its target, or told of by a source.',
  {
    onNew: shown(z.array(z.string()).max(1000)).describe('with the new secret'),
    strangers: shown(z.array(z.string()).max(100)).describe('declared by nobody'),
  },
)
export const rotationAdopted = event('rotation.adopted', 'Every known consumer was seen with the new secret.', {
  principal: Text,
})
export const rotationDisabled = event('rotation.disabled', 'The old secret does not let anybody in any more.', {
  principal: Text,
})
export const rotationSoaking = event(
  'rotation.soaking',
  'The old secret was refused; whether anybody misses it is waited for.',
  {
    principal: Text,
    soakBefore: Instant,
  },
)
export const rotationRevoked = event('rotation.revoked', 'The old secret was ended for good at the target.', {
  principal: Text,
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
export const rotationWaits = event('rotation.waits', 'A rotation waits for something.', {
  state: Text,
  waitsFor: Text,
  escalation: shown(z.enum(['none', 'owner', 'security'])),
})
export const rotationAlarm = event(
  'rotation.alarm',
  'A login was given secret after secret, and nobody was seen with any of them.',
  { principal: Text, issued: shown(z.int()).describe('rotations in a row') },
)
export const rotationFenced = event(
  'rotation.fenced',
  'The target knows a later rotation than this record: the record was restored. Nothing was ended.',
  { principal: Text, state: Text },
)
export const rotationAbortAsked = event('rotation.abort-asked', 'Somebody wants to keep the old secret of a login.', {
  principal: Text,
  state: Text,
  reason: Reason,
})
export const rotationAborted = event('rotation.aborted', 'The old secret stays, and the new one was proven dead.', {
  principal: Text,
  evidence: shown(z.record(z.string(), z.json())),
})
export const rotationNotAborted = event(
  'rotation.not-aborted',
  'It was too late to keep the old secret: the target knows the new one only, so the rotation goes on.',
  { principal: Text },
)
export const rotationHandedIn = event(
  'rotation.handed-in',
  'A person handed in a secret that they set at the target.',
  {
    principal: Text,
  },
)
export const wayConfigured = event('rotation.configured', 'It was said how a login gets another secret.', {
  targetId: Id,
  strategy: Text,
  alternate: Text.nullable(),
  soakSeconds: shown(z.int()),
  hookUrl: Text.nullable(),
  reason: Reason,
})
export const consumerDeclared = event('consumer.declared', 'Somebody said who uses an account.', {
  name: Text,
  ownerTeam: Text,
  reason: Reason,
})
export const consumerWithdrawn = event(
  'consumer.withdrawn',
  'Somebody said that something does not use an account any more, or took the new secret.',
  {
    name: Text,
    origin: Text,
    reason: Reason,
  },
)
export const credentialLeaked = event('credential.leaked', 'A login that Reeve keeps is known to others.', {
  targetId: Id,
  isRotated: shown(z.boolean()).describe('otherwise a rotation is under way that ends it anyhow'),
  reason: Reason,
})
export const campaignStarted = event('rotation.many-started', 'Many logins are to be rotated.', {
  logins: shown(z.int()),
  perTarget: shown(z.int()),
  mostFailures: shown(z.int()),
  reason: Reason,
})
export const campaignMoved = event('rotation.many-moved', 'A rotation of many went on.', {
  state: Text,
  started: shown(z.int()),
  dead: shown(z.int()),
  failing: shown(z.int()),
  logins: shown(z.int()),
})
export const campaignResumed = event('rotation.many-resumed', 'Somebody lets a rotation of many go on.', {
  mostFailures: shown(z.int()),
  reason: Reason,
})
export const localSecretIssued = event('local-secret.issued', 'An application got a fixed secret to the gateway.', {
  accountId: Id,
  identityId: Id,
  address: Text,
  reason: Reason,
})
export const localSecretBound = event('local-secret.bound', 'A fixed secret of an application counts for a grant.', {
  localSecretId: Id,
})
export const localSecretRevoked = event('local-secret.revoked', 'A fixed secret of an application counts no more.', {
  reason: Reason,
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
  rotationDistributed,
  rotationTold,
  consumersSeen,
  rotationAdopted,
  rotationDisabled,
  rotationSoaking,
  rotationRevoked,
  rotationDead,
  rotationSuperseded,
  rotationFailed,
  rotationWaits,
  rotationAlarm,
  rotationFenced,
  rotationAbortAsked,
  rotationAborted,
  rotationNotAborted,
  rotationHandedIn,
  wayConfigured,
  consumerDeclared,
  consumerWithdrawn,
  credentialLeaked,
  campaignStarted,
  campaignMoved,
  campaignResumed,
  localSecretIssued,
  localSecretBound,
  localSecretRevoked,
  rotationWoken,
  rotationScheduled,
  rotationDue,
  accountCertified,
]
