import { sha256 } from '../kernel/crypto.ts'
import { canonicalText } from '../ledger/ledger.ts'
import { printApproval, printHold, type ApprovalFacts, type Obligations } from '../policy/policy.ts'
import type { Asked } from './asked.ts'
import type { Owed } from './contract.ts'

type Bound = {
  readonly asked: Asked
  readonly roles: ReadonlyMap<string, string>
  readonly limits: { readonly ttlSeconds: number; readonly uses: number | null }
  readonly parserEnforced: readonly string[]
  readonly obligations: Obligations
  readonly policies: readonly { readonly id: string; readonly sha256: string }[]
  readonly approvalFacts: ApprovalFacts
}

/**
 * Rule 8: the hash of everything that will be granted and of the policies that determined it (core 6: not of the whole set, or
 * each edit would void every pending request). Records are named by id and by what of them was shown; a target by its version,
 * so that an approval for one address is none for the next.
 */
export function boundOf(bound: Bound): Buffer {
  const { asked, roles, limits, approvalFacts } = bound
  const { chain, target, account, purpose } = asked
  return sha256(
    canonicalText({
      v: 1,
      requester: chain.requester.id,
      subject: chain.subject.id,
      onBehalfOf: chain.onBehalfOf?.id ?? null,
      triggeredBy: chain.triggeredBy?.id ?? null,
      proof: chain.proof,
      target: { id: target.id, version: target.version },
      account: {
        id: account.id,
        name: account.name,
        mode: account.mode,
        tier: account.tier,
        databases: [...account.databases],
        roles: Object.fromEntries(roles),
      },
      actions: [...asked.actions],
      parserEnforced: [...bound.parserEnforced],
      purpose: { id: purpose.id, expiresAt: purpose.expiresAt.toISOString() },
      ticket: asked.ticket,
      task: asked.task,
      reason: asked.reason,
      ttlSeconds: limits.ttlSeconds,
      uses: limits.uses,
      connections: asked.connections,
      isKeptAlive: asked.isKeptAlive,
      obligations: owedOf(bound.obligations),
      owners: { target: approvalFacts.ownerOfTarget, subject: approvalFacts.ownerOfSubject },
      policies: bound.policies.map(({ id, sha256: hash }) => ({ id, sha256: hash })),
    }),
  )
}

/** Obligations as they are shown, kept and bound: approvals as canonical text. */
export function owedOf(obligations: Obligations): Owed {
  return {
    approval: obligations.approval.map(printApproval),
    ttlSeconds: obligations.ttlSeconds,
    uses: obligations.uses,
    stepUp: obligations.stepUp,
    recording: obligations.recording,
    reasonRequired: obligations.reasonRequired,
    tickets: [...obligations.tickets],
    hold: obligations.hold.map(printHold),
  }
}

/** What a request, its refusal and its grant say alike in the ledger. */
export function aboutOf(asked: Asked) {
  return {
    subjectId: asked.chain.subject.id,
    onBehalfOfId: asked.chain.onBehalfOf?.id ?? null,
    triggeredById: asked.chain.triggeredBy?.id ?? null,
    targetId: asked.target.id,
    accountId: asked.account.id,
    actions: [...asked.actions],
    purposeId: asked.purpose.id,
    task: asked.task,
  }
}
