import { secondsAfter } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import { findPurpose } from '../catalog/catalog.ts'
import { type Proof } from '../identities/identities.ts'
import { joinObligations, outstanding, printApproval, type Obligations, type Risk } from '../policy/policy.ts'
import { approvalsOf } from './approvers.ts'
import { decideActions, evidenceOf, gapsOf, type RiskContext } from './assess.ts'
import { knownIdentity, tiedTo, type Chain } from './chain.ts'
import { Owed } from './contract.ts'
import type { AccessNeeds } from './needs.ts'
import type { GrantFacts } from './proof.ts'

/** A ticket is bound to the place of its first use, a key to who made it. */
const PROOFS: Readonly<Record<'ticket' | 'key', Proof>> = { ticket: 'bound-token', key: 'mtls' }

export type UseDecision = {
  /** Why not; empty when it is permitted. */
  readonly reasons: readonly string[]
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
    .select(['requesterId', 'triggeredById', 'reason', 'obligations'])
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
  const asked = {
    chain,
    target,
    account,
    purpose,
    actions: grant.actions,
    reason: request.reason,
    ticket: grant.ticket,
  }
  const gaps = gapsOf(asked, needs.clock.now())
  if (gaps.length > 0) return { reasons: gaps }
  const { decisions, unknown, risk } = await decideActions(tx, needs, asked, {
    channel: 'gateway',
    covers: true,
    address: address ?? (await addressOf(tx, grant.id)),
    supposing,
  })
  if (unknown.length > 0) return { reasons: ['The catalog has an action of this grant no more.'] }
  const denied = decisions.filter((decision) => !decision.decision)
  if (denied.length > 0) return { reasons: denied.flatMap((decision) => decision.reasons), risk }
  const obligations = joinObligations(decisions.map((decision) => decision.obligations))
  const then = Owed.parse(request.obligations)
  const [first] = decisions
  return {
    reasons: [
      ...beyondLimits(needs, facts, obligations),
      ...outstanding(
        { ...obligations, approval: gatesToMeet(obligations, then) },
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
      ),
    ],
    ...(first && { decision: { id: first.id, policyVersion: first.policyVersion } }),
    risk,
  }
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
