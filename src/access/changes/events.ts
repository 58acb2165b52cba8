import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Owed, Sha256Hex } from '../schemas.ts'

const Texts = shown(z.array(z.string()))
const Text = shown(z.string())
const Comment = Reason.nullable()

/** Which call it is. */
const call = { operation: Text, resourceType: Text, resourceId: Text, boundSha256: Sha256Hex }

export const changeRequested = event('change.requested', 'Somebody asked others to approve a call before it runs.', {
  ...call,
  params: shown(z.record(z.string(), z.unknown())),
  fields: Texts,
  obligations: Owed,
  policies: shown(z.array(z.object({ id: z.string(), sha256: z.string() }))),
  decisionId: Text,
  isPending: shown(z.boolean()),
  simulation: Texts.describe('what approvers are told it would have meant for recorded decisions'),
  reason: Reason,
})
export const changeApproved = event('change.approved', 'A person approved a call as it was shown to them.', {
  boundSha256: Sha256Hex,
  isEnough: shown(z.boolean()),
  comment: Comment,
})
export const changeDenied = event('change.denied', 'A person refused a change.', {
  boundSha256: Sha256Hex,
  comment: Comment,
})
export const changeWithdrawn = event('change.withdrawn', 'A change was taken back.', {})
export const changeExpired = event('change.expired', 'Nobody decided on a change in time, or it was not applied.', {})
export const changeVoided = event(
  'change.voided',
  'What would run is not what was approved any more, so the change fell.',
  { reasons: Texts, boundSha256: Sha256Hex },
)
export const changeUsed = event('change.used', 'An approved call runs: what it changes is in the same transaction.', {
  ...call,
  approvers: shown(z.array(z.uuid())),
})

export const changeEvents = [
  changeRequested,
  changeApproved,
  changeDenied,
  changeWithdrawn,
  changeExpired,
  changeVoided,
  changeUsed,
]
