import type { Db } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { subjectRef, tiedPeople } from '../../identities/identities.ts'
import {
  approvalFactsOf,
  isSatisfied,
  missingApprovals,
  noEvidence,
  outstanding,
  type ApprovalFacts,
  type Decision,
  type Evidence,
  type PolicyValue,
} from '../../policy/policy.ts'
import { approverTeamsOf, rosterOf } from '../approvers.ts'
import { boundOf } from './bound.ts'
import type { ChangeNeeds } from './needs.ts'

/** What a call is about, loaded once. */
type About = {
  readonly resource: Resource
  readonly context: Readonly<Record<string, PolicyValue>>
  readonly preview: readonly string[]
}

/** What is decided about a call at one moment. The same records and policies give the same one. */
export type Considered = About & {
  readonly decision: Decision
  readonly facts: ApprovalFacts
  readonly tiedIds: readonly string[]
  readonly approverTeams: readonly string[]
  /** Owed beside approvals and the fresh proof of the person, which comes when it is applied; a sentence each. */
  readonly owed: readonly string[]
  readonly isFree: boolean
  /** Why nobody could ever approve it (rule 9); null when somebody could. */
  readonly impossible: string | null
  readonly boundSha256: Buffer
}

/** What the call is about, by its own route. Throws `notFound` as the call alone would. */
export async function aboutOf({ route, call }: AskedCall): Promise<About> {
  const resource = await route.resource(call)
  return { resource, context: await route.context(call), preview: [...(await route.preview(call))] }
}

/** Decides a call as if a reason was given, and says who would have to approve it. */
export async function consider(
  db: Db,
  needs: ChangeNeeds,
  asked: AskedCall,
  about: About,
  bound: { readonly reason: string; readonly salt: Buffer; readonly simulation: readonly string[] },
): Promise<Considered> {
  const { resource, context } = about
  const { caller } = asked.call
  const decision = await needs.decisions.decide(db, {
    subject: { ...subjectRef(caller), proof: caller.proof },
    action: asked.route.operation.id,
    resource,
    context: { ...context, reasonGiven: true },
  })
  const { approval } = decision.obligations
  const tiedIds = tiedIdsOf(caller.id, resource)
  const owners = approvalFactsOf(resource)
  const facts = { ...owners, excluded: await tiedToAny(db, tiedIds) }
  const approverTeams = approverTeamsOf(approval, facts)
  const lacking = missingApprovals(approval, await rosterOf(db, needs.teams, approverTeams, needs.clock.now()), facts)
  return {
    ...about,
    decision,
    facts,
    tiedIds,
    approverTeams,
    owed: outstanding({ ...decision.obligations, approval: [], stepUp: 'none' }, evidenceOf(about, [], facts)),
    isFree: isSatisfied(approval, [], facts),
    impossible:
      lacking.length === 0
        ? null
        : `Nobody who is not tied to this could approve it; there would have to be ${lacking.join(', or ')}.`,
    boundSha256: boundOf({
      asked,
      ...about,
      ...bound,
      owners: { target: owners.ownerOfTarget, subject: owners.ownerOfSubject },
      tiedIds,
      decision,
    }),
  }
}

/** What a call shows for its obligations once others approved it. */
export function evidenceOf(
  { context }: Pick<About, 'context'>,
  approvals: Evidence['approvals'],
  approvalFacts: ApprovalFacts,
  stepUp: Evidence['stepUp'] = 'none',
): Evidence {
  const { ticket } = context
  return {
    ...noEvidence,
    approvals,
    approvalFacts,
    stepUp,
    reasonGiven: true,
    ticket: typeof ticket === 'string' ? ticket : null,
  }
}

/**
 * Core 6: whose people do not decide: who asks, the identity that the call is about, for whom it acts, who asked for the thing itself, and to
 * whom it gives more.
 */
function tiedIdsOf(callerId: string, { type, id, attributes }: Resource): string[] {
  const { subjectId, onBehalfOfId, requestedBy, tiedIds } = attributes
  const own = [callerId, type === 'Identity' ? id : undefined, subjectId, onBehalfOfId, requestedBy]
  const named = [...own, ...(Array.isArray(tiedIds) ? tiedIds : [])]
  return [...new Set(named.filter((each) => typeof each === 'string' && UUID.test(each)).map(String))].sort()
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Everybody tied to one of these identities, in any of their own. */
export async function tiedToAny(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const tied = new Set<string>()
  for (const id of ids) for (const person of await tiedPeople(db, id)) tied.add(person)
  return tied
}
