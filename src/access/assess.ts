import type { Db } from '../kernel/db.ts'
import { accountResource, loadActions, modeOf, rolesOf } from '../catalog/catalog.ts'
import type { Mode } from '../catalog/contract.ts'
import { subjectRef } from '../identities/identities.ts'
import {
  floorFrom,
  joinObligations,
  missingApprovals,
  outstanding,
  riskContext,
  withinLimits,
  type ApprovalFacts,
  type Decision,
  type Evidence,
  type Obligations,
  type PolicyValue,
  type Risk,
} from '../policy/policy.ts'
import { approverTeamsOf, rosterOf } from './approvers.ts'
import type { Asked } from './asked.ts'
import { boundOf } from './bound.ts'
import { tiedTo } from './chain.ts'
import type { AccessNeeds } from './needs.ts'
import { riskOfAct, type RiskOfAct } from './risk.ts'
import { standardContext } from './standing.ts'
import type { TicketCheck } from './ticket-verifier.ts'

/** What is decided about a request at one moment. The same records and policies give the same one. */
export type Assessment = {
  readonly isPermitted: boolean
  readonly reasons: readonly string[]
  readonly decisions: readonly Decision[]
  readonly policyVersion: string
  readonly obligations: Obligations
  /** The policies that determined the decisions, in order. */
  readonly policies: readonly { readonly id: string; readonly sha256: string }[]
  readonly ttlSeconds: number
  readonly uses: number | null
  readonly parserEnforced: readonly string[]
  /** What the purpose does not cover; empty when it covers all. */
  readonly purposeGaps: readonly string[]
  /** Owed beside approvals, a sentence each. */
  readonly owed: readonly string[]
  /** Under which it would be granted. */
  readonly mode: Mode
  /** What is owed and not asked for, since the target does not enforce. */
  readonly waived: readonly string[]
  readonly approvalFacts: ApprovalFacts
  readonly approverTeams: readonly string[]
  /** At this moment; policies were told of it, and nothing binds it. */
  readonly risk: Risk
  readonly isFree: boolean
  readonly missing: readonly string[]
  /** Why nobody could ever approve it (rule 9); null when somebody could or nobody has to. */
  readonly impossible: string | null
  readonly boundSha256: Buffer
}

/**
 * Decides each action for each link of the chain and joins what all of them ask for (core 1, 3). A ticket counts as verified only
 * where its check is given: made before the transaction, since nothing outside is waited for in one.
 */
export async function assess(
  db: Db,
  needs: AccessNeeds,
  asked: Asked,
  ticket: TicketCheck | null = null,
): Promise<Assessment> {
  const { target, account, chain } = asked
  const roles = await rolesOf(db, account.id)
  const purposeGaps = gapsOf(asked, needs.clock.now())
  const { decisions, unknown, risk } = await decideActions(db, needs, asked, {
    channel: 'api',
    covers: purposeGaps.length === 0,
  })
  const isPermitted = unknown.length === 0 && decisions.every((decision) => decision.decision)
  const obligations = joinObligations(decisions.map((decision) => decision.obligations))
  const policies = distinctPolicies(decisions)
  const approvalFacts: ApprovalFacts = {
    ownerOfTarget: target.ownerTeam,
    ownerOfSubject: chain.subject.ownerTeam,
    excluded: await tiedTo(db, chain),
    auto: { risk: risk.score, isTicketVerified: ticket?.isVerified ?? false },
  }
  const approverTeams = approverTeamsOf(obligations.approval, approvalFacts)
  const roster = await rosterOf(db, needs.teams, approverTeams, needs.clock.now())
  const lacking = missingApprovals(obligations.approval, roster, approvalFacts)
  const limits = withinLimits(obligations, asked)
  const parserEnforced = parserEnforcedOf(asked, roles)
  const owed = outstanding({ ...obligations, approval: [] }, evidenceOf(needs, asked))
  const missing = missingApprovals(obligations.approval, [], approvalFacts)
  const mode = modeOf(target, account)
  const isLenient = mode !== 'enforce'
  return {
    isPermitted,
    reasons: [
      ...unknown,
      ...decisions.filter((each) => each.decision === isPermitted).flatMap((decision) => decision.reasons),
    ],
    decisions,
    policyVersion: decisions[0]?.policyVersion ?? needs.decisions.epoch(),
    obligations,
    policies,
    ...limits,
    parserEnforced,
    purposeGaps,
    mode,
    owed: isLenient ? [] : owed,
    waived: isLenient && isPermitted ? [...owed, ...waivedApprovals(missing)] : [],
    approvalFacts,
    approverTeams,
    risk,
    isFree: isLenient || missing.length === 0,
    missing: isLenient ? [] : missing,
    impossible:
      isLenient || lacking.length === 0
        ? null
        : `Nobody who is not tied to this could approve it; there would have to be ${lacking.join(', or ')}.`,
    boundSha256: boundOf({ asked, roles, limits, parserEnforced, obligations, policies, approvalFacts }),
  }
}

function waivedApprovals(missing: readonly string[]): string[] {
  return missing.length === 0 ? [] : [`Approval is needed: ${missing.join('; or ')}.`]
}

/** What a request shows beside approvals. The gateways record in full. */
export function evidenceOf(
  needs: AccessNeeds,
  asked: Pick<Asked, 'reason' | 'ticket' | 'target' | 'actions' | 'stepUp'>,
): Evidence {
  return {
    approvals: [],
    approvalFacts: { ownerOfTarget: null, ownerOfSubject: null, excluded: new Set() },
    stepUp: asked.stepUp,
    recording: needs.recordingOf?.(asked.target.protocol, asked.actions) ?? 'full',
    reasonGiven: asked.reason !== null,
    ticket: asked.ticket,
    holds: needs.holdsOf?.(asked.target.protocol) ?? [],
  }
}

/** What policies are told of the situation. */
function contextOf(
  needs: Pick<AccessNeeds, 'clock' | 'calendar'>,
  asked: Pick<Asked, 'chain' | 'target' | 'purpose' | 'reason' | 'ticket'>,
  more: Via & { readonly act: RiskOfAct },
): Record<string, PolicyValue> {
  const now = needs.clock.now()
  const place = { target: asked.target.name, environment: asked.target.environment }
  const window = needs.calendar.window(place, now)
  return {
    channel: more.channel,
    // A break-glass identity has no other path, and nobody else has this one.
    requestKind: asked.chain.subject.profile === 'break-glass' ? 'break-glass' : 'ordinary',
    freeze: needs.calendar.isFrozen(place, now),
    reasonGiven: asked.reason !== null,
    purpose: { id: asked.purpose.id, approved: asked.purpose.state === 'approved', covers: more.covers },
    ...(asked.ticket !== null && { ticket: asked.ticket }),
    ...(window && { window }),
    risk: more.supposing ?? riskContext(more.act.risk),
    signals: more.supposing ? [] : more.act.reported,
    ...standardContext(more.act.standings),
  }
}

/** What a purpose does not cover of what is asked for, a sentence each. */
export function gapsOf(asked: Pick<Asked, 'purpose' | 'target' | 'account' | 'actions'>, now: Date): string[] {
  const { purpose, target, account, actions } = asked
  const gaps: string[] = []
  if (purpose.state !== 'approved') gaps.push(`The purpose ${purpose.name} is ${purpose.state}, not approved.`)
  if (purpose.expiresAt <= now) gaps.push(`The purpose ${purpose.name} ended at ${purpose.expiresAt.toISOString()}.`)
  if (!purpose.targets.includes(target.id)) gaps.push(`The purpose ${purpose.name} does not name ${target.name}.`)
  const uncovered = actions.filter((action) => !purpose.actions.includes(action))
  if (uncovered.length > 0) gaps.push(`The purpose ${purpose.name} does not name ${uncovered.join(', ')}.`)
  if (target.state !== 'active' || account.state !== 'active') gaps.push(`${account.name}@${target.name} is retired.`)
  if (account.mode === 'seen') gaps.push(`${account.name}@${target.name} was seen there and is not one to act as.`)
  return gaps
}

type Via = {
  readonly channel: 'api' | 'gateway'
  readonly covers: boolean
  readonly address?: string | undefined
  /** Decides as if the risk were this one and no signal in force, and enters nothing: what would have been answered. */
  readonly supposing?: RiskContext | undefined
  /** What nobody asks for is not one of the decisions that are kept and learned from. */
  readonly isHypothetical?: boolean
}

/** What policies are told of a risk. */
export type RiskContext = ReturnType<typeof riskContext>

/** A decision for each action that the catalog has for the target, and a sentence for each other one. */
export async function decideActions(
  db: Db,
  needs: AccessNeeds,
  asked: Pick<Asked, 'chain' | 'target' | 'account' | 'purpose' | 'actions' | 'reason' | 'ticket'>,
  via: Via,
): Promise<{ readonly decisions: readonly Decision[]; readonly unknown: readonly string[]; readonly risk: Risk }> {
  const { chain, target, account } = asked
  const entries = await loadActions(db, asked.actions)
  const known = asked.actions.flatMap((name) => {
    const entry = entries.find(
      (each) =>
        each.name === name && each.protocol === target.protocol && ['gateway', 'target'].includes(each.enforcement),
    )
    return entry ? [{ name, floor: floorFrom(entry) }] : []
  })
  const unknown = asked.actions
    .filter((name) => !known.some((each) => each.name === name))
    .map((name) => `The catalog has no action ${name} for ${target.protocol}.`)
  const act = await riskOfAct(db, needs, asked, { entries, address: via.address })
  const question = {
    subject: { ...subjectRef(chain.subject), proof: chain.proof },
    onBehalfOf: chain.onBehalfOf ? [{ ...subjectRef(chain.onBehalfOf), proof: 'token' as const }] : [],
    resource: accountResource(account, target),
    context: contextOf(needs, asked, { ...via, act }),
    at: needs.clock.now(),
  }
  const { risk } = act
  if (!via.supposing && !via.isHypothetical) {
    return { decisions: await needs.decisions.decideEach(db, { ...question, actions: known }), unknown, risk }
  }
  const decisions: Decision[] = []
  for (const { name, floor } of known) {
    decisions.push(await needs.decisions.decide(db, { ...question, action: name, floor }))
  }
  return { decisions, unknown, risk }
}

/** Core 19: an action is bounded by a role at the target only if that role bounds no action that was not asked for. */
function parserEnforcedOf(asked: Asked, roles: ReadonlyMap<string, string>): string[] {
  return asked.actions.filter((action) => {
    const role = roles.get(action)
    if (role === undefined || asked.account.mode === 'static') return true
    return [...roles].some(([other, its]) => its === role && !asked.actions.includes(other))
  })
}

function distinctPolicies(decisions: readonly Decision[]): { id: string; sha256: string }[] {
  const hashes = new Map(decisions.flatMap((decision) => decision.policies.map(({ id, sha256 }) => [id, sha256])))
  return [...hashes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, sha256]) => ({ id, sha256 }))
}
