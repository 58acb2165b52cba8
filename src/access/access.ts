/**
 * Requests, approvals, grants and what proves them. The grant row is the only authority (rule 1).
 *
 * A request goes pending → granted, denied, expired, withdrawn or void, once; one that nobody has to approve is born granted. A grant
 * lives until it ends, once, for whatever reason; `endGrant` is the one verb, and nodes hear of it by `openEnds`. A use is reserved →
 * live → closed, or released when the target never became ready. Each of these moves has its entry in its own transaction.
 *
 * A gateway: `proveGrant` → `ends.subscribe` → `useGrant` → connect → `beginUse` … `closeUse`, or `releaseUse`.
 */
export { accessRoutes } from './routes.ts'
export { approvalsOfCalls, bindCalls, changeRoutes, type ChangeNeeds } from './changes/changes.ts'
export { denialRoutes } from './denials/routes.ts'
export { approveRequest, denyRequest, withdrawRequest } from './approve.ts'
export { emptyCalendar, parseCalendar, type Calendar } from '../policy/policy.ts'
export { decideUse, type UseTerms } from './decide-use.ts'
export { END_CHANNEL, endGrant, endGrantsOf, finishGrant, revokeGrant, type EndedGrant } from './end.ts'
export { CONTROL_LOST_MS, openEnds, type Ending, type Ends, type Subscription } from './ends.ts'
export { beatGrant } from './grant.ts'
export { waitForRelease } from './holds/wait.ts'
export { keepRefusals, type RefusalCount } from './friction/counts.ts'
export type { AccessNeeds, EndNeeds, Outcome } from './needs.ts'
export { proveGrant, type GrantFacts } from './proof.ts'
export { loadGrant, loadRequest } from './read.ts'
export { previewAccess, requestAccess } from './request.ts'

export { changeResource } from './changes/records.ts'
export { grantResource, requestResource } from './resources.ts'
export { factsNow } from './facts-now.ts'
export { openSecondLook, type SecondLook } from './second-look.ts'
export { weighPending } from './reviews.ts'
export { signalRoutes } from './signals/routes.ts'
export { noStanding, type StandingOf } from './standing.ts'
export { sweepAccess, sweepUses } from './sweep.ts'
export { noTicketVerifier, openTicketVerifier, type TicketVerifier } from './ticket-verifier.ts'
export { issueKey, issueTicket, lockLive } from './ticket.ts'
export { beginUse, closeUse, releaseUse, useGrant, type Use } from './use.ts'
