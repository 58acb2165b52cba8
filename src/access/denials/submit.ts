import { transact, violatedConstraint, type Db } from '../../kernel/db.ts'
import type { Caller, Resource } from '../../kernel/http/route.ts'
import { validated } from '../../kernel/http/validate.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Seal } from '../../kernel/seal.ts'
import { accountResource, loadAccountById, loadTarget } from '../../catalog/catalog.ts'
import { ENTITY_TYPES } from '../../identities/identities.ts'
import { readDenial, vocabularyOf, type Denied, type LiveEngine } from '../../policy/policy.ts'
import type { AccessRequest } from '../contract.ts'
import { RequestAccess } from '../schemas.ts'
import type { AccessNeeds } from '../needs.ts'
import { loadRequest } from '../read.ts'
import { checkTicket, requestAccess } from '../request.ts'
import type { TicketVerifier } from '../ticket-verifier.ts'
import { expiredDenial, invalidDenialBinding, notRequestable, type SubmittedDenial } from './contract.ts'

export type DenialNeeds = AccessNeeds & {
  readonly db: Db
  readonly seal: Seal
  readonly tickets: TicketVerifier
  readonly engine: LiveEngine
  /** Whether drafts are spoken here. */
  readonly drafts: boolean
  /** Scheme and authority that this installation is named by. */
  readonly origin: () => string
}

/** What was denied to the caller, and the account it was about. */
export type Found = { readonly denied: Denied; readonly account: Resource; readonly names: Names }
type Names = { readonly target: string; readonly account: string }

/**
 * What a submission refers to. The subject is who calls, by a proof of its own: that an enforcement point names somebody counts for nothing.
 * Made up, changed and another's are one answer, so that nobody learns which.
 */
export async function findDenied(needs: DenialNeeds, caller: Caller, input: SubmittedDenial): Promise<Found> {
  const { subject, action, resource, context } = askableOf(needs, input)
  const token = input.denial?.binding_token
  const denied = token === undefined ? undefined : readDenial(needs.seal, token, { subject, action, resource, context })
  const isTheirs =
    denied !== undefined &&
    denied.subjectId === caller.id &&
    (caller.onBehalfOfId === undefined || caller.onBehalfOfId === denied.onBehalfOfId) &&
    (input.denial?.evaluation_id ?? denied.evaluationId) === denied.evaluationId &&
    input.denial?.expires_at === denied.expiresAt
  if (!denied || !isTheirs) {
    throw invalidDenialBinding('Ask for an evaluation, and give back its denial unchanged, as its subject.', {})
  }
  if (denied.expiresAt <= needs.clock.now().toISOString()) {
    throw expiredDenial('Ask for the evaluation again: it may be answered in another way now.', {})
  }
  const account = await loadAccountById(needs.db, denied.accountId)
  const target = account && (await loadTarget(needs.db, account.targetId))
  if (!target) throw notRequestable('The account is gone.', {})
  return {
    denied,
    account: accountResource(account, target),
    names: { target: target.name, account: account.name },
  }
}

/** A single question about an account, asked like this profile is served here. */
function askableOf({ drafts, engine }: DenialNeeds, input: SubmittedDenial) {
  const { subject, action, resource, context, items, callback, requested_access: wanted } = input
  if (!drafts) throw notRequestable('Drafts are not spoken here; see authzen.drafts.', {})
  if (items !== undefined) throw notRequestable('Ask for one thing at a time, without items.', {})
  if (callback !== undefined) throw notRequestable('Nobody is called back; ask the status endpoint.', {})
  if (wanted?.emergency) throw notRequestable('In an emergency, act as a break-glass identity.', {})
  if (!action || !resource) throw notRequestable('Name the resource and the action that were denied.', {})
  if (vocabularyOf(engine.current().set).typeOf(resource.type) !== 'Account') {
    throw notRequestable('Access to accounts of targets can be requested here, and to nothing else.', {})
  }
  return { subject, action, resource, context }
}

/** The ordinary request for what was denied. Its id is the evaluation's, so a second submission finds the first one's request. */
export async function submit(needs: DenialNeeds, caller: Caller, input: SubmittedDenial): Promise<AccessRequest> {
  const { db } = needs
  const { denied, account, names } = await findDenied(needs, caller, input)
  const known = await loadRequest(db, denied.evaluationId)
  if (known) return known
  const wanted = wantedOf(needs, denied, names, input)
  const permit = await needs.decisions.permit(
    db,
    {
      subject: { type: ENTITY_TYPES[caller.kind], id: caller.id, proof: caller.proof },
      action: 'access.request',
      resource: account,
      context: { reasonGiven: wanted.reason !== undefined },
    },
    { reasonGiven: wanted.reason !== undefined },
  )
  const making = { caller, input: wanted, id: denied.evaluationId }
  const ticketCheck = await checkTicket(db, needs, account.id, making)
  try {
    const outcome = await transact(db, (tx) => requestAccess(tx, needs, permit, { ...making, ticketCheck }))
    if (outcome.kind === 'refused') throw outcome.problem
    return outcome.value
  } catch (error) {
    // The same was submitted at the same time, and was first.
    const first = violatedConstraint(error) === 'access_request_pkey' && (await loadRequest(db, denied.evaluationId))
    if (!first) throw error
    return first
  }
}

/** The input of the ordinary request. What was denied comes from the reference; the rest is the subject's to say. */
function wantedOf(needs: DenialNeeds, denied: Denied, names: Names, input: SubmittedDenial): RequestAccess {
  const { context = {}, requested_access: { requested_until: until } = {} } = input
  const { purpose, ticket } = context
  if (typeof purpose !== 'string') throw invalid('context.purpose', 'name the approved purpose that covers this')
  const reason = context['justification'] ?? context['business_justification'] ?? context['reason']
  const ttlSeconds = until && Math.floor((until.getTime() - needs.clock.now().getTime()) / 1000)
  if (ttlSeconds !== undefined && ttlSeconds < 1) throw invalid('requested_access.requested_until', 'is over already')
  return validated(
    RequestAccess,
    {
      ...names,
      actions: [denied.action],
      purpose,
      ...(typeof reason === 'string' && { reason }),
      ...(typeof ticket === 'string' && { ticket }),
      ...(ttlSeconds !== undefined && { ttlSeconds }),
      ...(denied.onBehalfOfId !== null && { onBehalfOf: denied.onBehalfOfId }),
    },
    'body',
  )
}
