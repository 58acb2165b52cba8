import { secondsAfter } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import { actionsOf, findPurpose, modeOf } from '../catalog/catalog.ts'
import type { Mode } from '../catalog/contract.ts'
import { type Proof } from '../identities/identities.ts'
import {
  joinObligations,
  outstanding,
  printApproval,
  readHold,
  type Hold,
  type Obligations,
  type Risk,
} from '../policy/policy.ts'
import { approvalsOf } from './approvers.ts'
import { decideActions, evidenceOf, gapsOf, type RiskContext } from './assess.ts'
import { knownIdentity, tiedTo, type Chain } from './chain.ts'
import { Owed } from './contract.ts'
import type { AccessNeeds } from './needs.ts'
import type { GrantFacts } from './proof.ts'
import { sentenceOfRisk } from './risk-words.ts'

/** A ticket is bound to the place of its first use, a key to who made it. */
const PROOFS: Readonly<Record<'ticket' | 'key', Proof>> = { ticket: 'bound-token', key: 'mtls' }

/** What operations of a session are held to, as it was decided last. */
export type UseTerms = {
  readonly mode: Mode
  /** Actions that the grant does not cover and that go through, since the target does not enforce. */
  readonly through: readonly string[]
  /** What waits for another person; in a mode that does not enforce it is only told. */
  readonly holds: readonly Hold[]
  /** The risk it is held at, in words for the client; absent where it is not held as a whole, or not for a risk. */
  readonly risk?: string
}

export type UseDecision = {
  /** Why not; empty when it is permitted. */
  readonly reasons: readonly string[]
  /** Why it would have been refused if the target enforced. */
  readonly waived: readonly string[]
  /** Absent where it is refused. */
  readonly terms?: UseTerms
  readonly decision?: { readonly id: string; readonly policyVersion: string }
  /** Of the use now; absent where the policies were not asked. */
  readonly risk?: Risk
}

/**
 * The decision at the moment of use, for every action of the grant and every link of its chain: whoever lost a right since, or
 * whatever rule came since, counts now (rule 10). Without an address it is the one the grant is in use from. `supposing` asks what would
 * have been decided at another risk.
 */
export async function decideUse(
  tx: Tx,
  needs: AccessNeeds,
  facts: GrantFacts,
  { address, supposing }: { readonly address?: string; readonly supposing?: RiskContext } = {},
): Promise<UseDecision> {
  const { grant, target, account } = facts
  const request = await tx
    .selectFrom('accessRequest')
    .select(['requesterId', 'triggeredById', 'reason', 'obligations', 'waived', 'stepUp'])
    .where('id', '=', grant.requestId)
    .executeTakeFirstOrThrow()
  const chain: Chain = {
    requester: await knownIdentity(tx, request.requesterId),
    subject: await knownIdentity(tx, grant.subjectId),
    onBehalfOf: grant.onBehalfOfId === null ? null : await knownIdentity(tx, grant.onBehalfOfId),
    triggeredBy: request.triggeredById === null ? null : await knownIdentity(tx, request.triggeredById),
    proof: PROOFS[facts.proofKind],
  }
  const purpose = await findPurpose(tx, grant.purposeId)
  const { reason, stepUp } = request
  const { actions, ticket } = grant
  const asked = { chain, target, account, purpose, actions, reason, ticket, stepUp }
  const gaps = gapsOf(asked, needs.clock.now())
  if (gaps.length > 0) return refused(gaps)
  const { decisions, unknown, risk } = await decideActions(tx, needs, asked, {
    channel: 'gateway',
    covers: true,
    address: address ?? (await addressOf(tx, grant.id)),
    supposing,
  })
  if (unknown.length > 0) return refused(['The catalog has an action of this grant no more.'])
  const denied = decisions.filter((decision) => !decision.decision)
  if (denied.length > 0) return { ...refused(denied.flatMap((decision) => decision.reasons)), risk }
  const obligations = joinObligations(decisions.map((decision) => decision.obligations))
  const then = Owed.parse(request.obligations)
  const owed = outstanding(
    { ...obligations, approval: request.waived.length > 0 ? obligations.approval : gatesToMeet(obligations, then) },
    {
      ...evidenceOf(needs, asked),
      // The session is recorded as the grant says, however strong the policies have become.
      recording: grant.recording,
      approvals: await approvalsOf(tx, needs.teams, grant.requestId),
      approvalFacts: {
        ownerOfTarget: target.ownerTeam,
        ownerOfSubject: chain.subject.ownerTeam,
        excluded: await tiedTo(tx, chain),
      },
    },
  )
  const mode = modeOf(target, account)
  const isLenient = mode !== 'enforce'
  const holds = everyHold(obligations, then)
  const [first] = decisions
  return {
    // Limits are ends, and no mode puts one off.
    reasons: [...beyondLimits(needs, facts, obligations), ...(isLenient ? [] : owed)],
    waived: isLenient ? owed : [],
    terms: {
      mode,
      through: isLenient ? await goingThrough(tx, needs, facts, asked) : [],
      holds,
      ...(risk && holds.some((hold) => hold.class === 'any') && { risk: sentenceOfRisk(risk) }),
    },
    ...(first && { decision: { id: first.id, policyVersion: first.policyVersion } }),
    risk,
  }
}

function refused(reasons: readonly string[]): UseDecision {
  return { reasons, waived: [] }
}

/**
 * What a grant does not cover and a target that does not enforce lets through: nothing of tier 0, and nothing that a policy forbids or
 * could not be decided.
 */
async function goingThrough(
  tx: Tx,
  needs: AccessNeeds,
  { target }: GrantFacts,
  asked: Parameters<typeof decideActions>[2],
): Promise<string[]> {
  const others = (await actionsOf(tx, target.protocol)).filter(({ name, tier, tierElsewhere }) => {
    const counts = target.environment === 'production' ? tier : (tierElsewhere ?? tier)
    return counts > 0 && !asked.actions.includes(name)
  })
  if (others.length === 0) return []
  const actions = others.map(({ name }) => name)
  const { decisions } = await decideActions(
    tx,
    needs,
    { ...asked, actions },
    { channel: 'gateway', covers: false, isHypothetical: true },
  )
  return decisions.filter(({ decision, isUnpermitted }) => decision || isUnpermitted).map(({ action }) => action)
}

/** What the grant was made with stays held, and what policies hold since is too. */
function everyHold(now: Obligations, then: Owed): Hold[] {
  const before = then.hold.map(readHold).filter((hold) => typeof hold !== 'string')
  return [...now.hold, ...before]
}

/** Where the grant is in use from, for a decision that is made again while it is. */
async function addressOf(tx: Tx, grantId: string): Promise<string | undefined> {
  const use = await tx
    .selectFrom('grantUse')
    .select('address')
    .where('grantId', '=', grantId)
    .where('state', 'in', ['reserved', 'live'])
    .orderBy('reservedAt', 'desc')
    .limit(1)
    .executeTakeFirst()
  return use?.address
}

/**
 * Gates that were met when the grant was made stay met: who leaves a team later takes nothing back. A gate that came since must be
 * met by the people who approved, and then with all others, so that nobody counts twice.
 */
function gatesToMeet(now: Obligations, then: Owed): Obligations['approval'] {
  return now.approval.every((gate) => then.approval.includes(printApproval(gate))) ? [] : now.approval
}

/** Limits that became narrower since the grant was made hold too. */
function beyondLimits(needs: AccessNeeds, { grant }: GrantFacts, now: Obligations): string[] {
  const beyond: string[] = []
  if (now.ttlSeconds !== null && secondsAfter(grant.startsAt, now.ttlSeconds) <= needs.clock.now()) {
    beyond.push(`The policies now give it ${now.ttlSeconds} s, and they are over.`)
  }
  if (now.uses !== null && grant.uses >= now.uses) beyond.push(`The policies now give it ${now.uses} use(s).`)
  return beyond
}
