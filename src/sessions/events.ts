import { z } from 'zod'
import { Reason } from '../identities/contract.ts'
import { event, personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'

const Count = shown(z.int().min(0))
const Text = shown(z.string())
const Sha256Hex = shown(z.string().length(64))

export const sessionOpened = event('session.opened', 'A brokered connection began under a grant.', {
  subjectName: Slug,
  subjectKind: Text,
  ownerTeam: Slug.nullable(),
  ownerId: Id.nullable(),
  ownerState: Text,
  businessService: Text.nullable(),
  environment: Text,
  onBehalfOfId: Id.nullable(),
  targetId: Id,
  targetName: Slug,
  accountName: Text,
  gateway: Text,
  nodeId: Id,
  proofId: Id,
  recording: Text,
  clientAddress: personal(z.string()),
})
export const sessionStopAsked = event('session.stop-asked', 'Somebody asked to end a session.', { reason: Reason })
export const sessionEnded = event('session.ended', 'A brokered connection ended and its recording was sealed.', {
  reason: Text,
  operations: Count,
  rows: Count,
  sizeBytes: Count,
  refused: Count,
  lateOperations: Count,
  recordingBytes: Count,
  recordingSha256: Sha256Hex.nullable(),
  endedAt: Instant,
})
/** What makes an edit of an unfinished recording visible: its digest up to a length, every minute. */
export const sessionSealed = event('session.sealed', 'A recording was sealed as far as it had come.', {
  recordingBytes: Count,
  recordingSha256: Sha256Hex,
  operations: Count,
})
export const operationRefused = event('session.operation-refused', 'An operation outside the grant was refused.', {
  privilegedAction: Text,
  label: Text,
  number: Count,
})
export const operationPassed = event(
  'session.operation-passed',
  'An operation went through that would have been refused if its target enforced.',
  { privilegedAction: Text, label: Text, number: Count, why: Text },
)
export const recorderLost = event('session.recorder-lost', 'A session could no longer be recorded.', {
  why: Text,
  recordedOperations: Count,
  continued: shown(z.boolean()).describe('the target declares that its sessions go on unrecorded'),
})
export const sessionRevealed = event('session.revealed', 'The sealed values of a recording were opened.', {
  reason: Reason,
})

export const sessionEvents = [
  sessionOpened,
  sessionStopAsked,
  sessionEnded,
  sessionSealed,
  operationRefused,
  operationPassed,
  recorderLost,
  sessionRevealed,
]
