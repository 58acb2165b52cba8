import { z } from 'zod'
import { Mode } from '../catalog/contract.ts'
import { Reason } from '../identities/contract.ts'
import { event, shown } from '../kernel/event.ts'
import { Id } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { changeEvents } from './changes/events.ts'
import { signalEvents } from './signals/events.ts'
import { holdEvents } from './holds/events.ts'
import { ActionName, EndReason, Owed, RiskTold, Sha256Hex, TicketChecked, USE_REFUSALS } from './schemas.ts'

const Comment = Reason.nullable()
const OptionalId = Id.nullable()
const Texts = shown(z.array(z.string()))
const Number = shown(z.int())

/** What a request, a refusal of one and a grant say alike. */
const asked = {
  subjectId: Id,
  onBehalfOfId: OptionalId,
  triggeredById: OptionalId,
  targetId: Id,
  accountId: Id,
  actions: shown(z.array(ActionName)),
  purposeId: Id,
  task: shown(z.string()).nullable(),
}

export const accessRequested = event('access.requested', 'Somebody asked for access.', {
  ...asked,
  askedTtlSeconds: Number,
  ttlSeconds: Number,
  askedUses: Number.nullable(),
  uses: Number.nullable(),
  connections: Number,
  mode: Mode,
  waived: Texts.describe('owed, and not asked for because the target does not enforce'),
  obligations: Owed,
  decisionIds: Texts,
  policies: shown(z.array(z.object({ id: z.string(), sha256: z.string() }))),
  boundSha256: Sha256Hex,
  isPending: shown(z.boolean()),
  parserEnforced: Texts,
  reason: Comment,
  risk: RiskTold,
  ticketCheck: TicketChecked.nullable().describe('null when nothing asked for a verified ticket'),
  stepUpId: OptionalId.describe('the fresh proof of its person, for exactly this'),
})
export const accessRefused = event('access.refused', 'Access was asked for and not given.', {
  ...asked,
  problem: shown(z.string()),
  decisionIds: Texts,
  reasons: Texts,
  reason: Comment,
  risk: RiskTold,
})
export const accessApproved = event('access.approved', 'A person approved a request as it was shown to them.', {
  boundSha256: Sha256Hex,
  comment: Comment,
})
export const accessDenied = event('access.denied', 'A person refused a request.', {
  boundSha256: Sha256Hex,
  comment: Comment,
})
export const accessWithdrawn = event('access.withdrawn', 'A request was taken back.', {})
export const accessExpired = event('access.expired', 'Nobody decided a request in time.', {})
export const accessVoided = event('access.voided', 'What would be granted changed, so the request fell.', {
  reasons: Texts,
  boundSha256: Sha256Hex,
})
export const grantMade = event('grant.made', 'A grant was made: from here on its row is the authority.', {
  ...asked,
  requestId: Id,
  boundSha256: Sha256Hex,
  approvers: shown(z.array(z.uuid())),
  controlOwner: shown(z.string()).describe('team that owned the target then'),
  approverTeams: Texts.describe('teams that the gates named'),
  maxUses: Number.nullable(),
  maxConnections: Number,
  recording: shown(z.string()),
  parserEnforced: Texts,
  mode: Mode,
  waived: Texts,
  expiresAt: Instant,
  risk: RiskTold,
})
export const grantUsed = event('grant.used', 'A use of a grant was reserved.', {
  useId: Id,
  proofId: Id,
  proofKind: shown(z.enum(['ticket', 'key'])),
  address: shown(z.string()),
  isFirstUse: shown(z.boolean()),
  uses: Number,
  mode: Mode,
  waived: Texts.describe('would have refused this use if the target enforced'),
  risk: RiskTold.nullable(),
})
export const grantUseRefused = event('grant.use-refused', 'A use of a grant was refused.', {
  proofId: Id,
  address: shown(z.string()),
  code: shown(z.enum(USE_REFUSALS)),
  reasons: Texts,
  risk: RiskTold.nullable().describe('null when the policies were not asked'),
})
export const grantUseReleased = event(
  'grant.use-released',
  'A reserved use was given back: the target never became ready.',
  {
    useId: Id,
  },
)
export const grantUseBegun = event('grant.use-begun', 'The target was ready; the use counts.', { useId: Id })
export const grantUseClosed = event('grant.use-closed', 'A use of a grant is over.', { useId: Id })
export const grantEnded = event('grant.ended', 'A grant ended.', {
  reason: EndReason,
  endedAt: Instant,
  uses: Number,
  comment: Comment,
  reasons: Texts.optional(),
})
export const ticketIssued = event('ticket.issued', 'A ticket was issued for a grant.', {
  proofId: Id,
  isSingleUse: shown(z.boolean()),
  firstUseBefore: Instant,
})
export const keyIssued = event('key.issued', 'A public key was certified for a grant.', {
  proofId: Id,
  spkiSha256: Sha256Hex,
  isSingleUse: shown(z.boolean()),
  firstUseBefore: Instant,
})

export const accessEvents = [
  accessRequested,
  accessRefused,
  accessApproved,
  accessDenied,
  accessWithdrawn,
  accessExpired,
  accessVoided,
  grantMade,
  grantUsed,
  grantUseRefused,
  grantUseReleased,
  grantUseBegun,
  grantUseClosed,
  grantEnded,
  ticketIssued,
  keyIssued,
  ...holdEvents,
  ...changeEvents,
  ...signalEvents,
]
