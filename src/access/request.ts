import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import type { Caller, Inner } from '../kernel/http/route.ts'
import type { StepUpShown } from '../kernel/step-up.ts'
import type { Permit } from '../kernel/permit.ts'
import { invalidInput, notFound, notPermitted, type Problem } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { findPurpose, loadAccountById, loadTarget } from '../catalog/catalog.ts'
import { actOf } from '../identities/identities.ts'
import { mayOpenByItself, stepUpOwed } from '../policy/policy.ts'
import { holdAct } from '../tokens/tokens.ts'
import type { Asked } from './asked.ts'
import { assess, type Assessment } from './assess.ts'
import { aboutOf, owedOf } from './bound.ts'
import { chainOf } from './chain.ts'
import {
  accessRefused,
  accessRequested,
  noPossibleApprover,
  obligationsOwed,
  purposeDoesNotCover,
  stepUpVoid,
  type AccessRequest,
  type Preview,
  type RequestAccess,
} from './contract.ts'
import { reachAccess } from './fault-points.ts'
import { makeGrant } from './grant.ts'
import type { AccessNeeds, Outcome } from './needs.ts'
import { loadRequest, warningsOf } from './read.ts'
import { riskShown, riskTold } from './risk.ts'
import type { TicketCheck, TicketVerifier } from './ticket-verifier.ts'

/** A working day: who has not decided by then has gone home. */
const PENDING_SECONDS = 8 * 3600

type Making = {
  readonly caller: Caller
  readonly input: RequestAccess
  /** Of the ticket that is named, where a gate asks for a verified one. */
  readonly ticketCheck?: TicketCheck | null
  /** What its person freshly proved; good for exactly what was bound then. */
  readonly stepUp?: StepUpShown | undefined
  /** Of the evaluation whose denial it is about: there is one request for it. */
  readonly id?: string
}

/**
 * Asks the system of tickets about the one that is named, if a gate of this request could open by it; null when nothing needs to be
 * asked. To be called before the transaction.
 */
export async function checkTicket(
  db: Db,
  needs: AccessNeeds & { readonly tickets: TicketVerifier },
  accountId: string,
  making: Making,
): Promise<TicketCheck | null> {
  const { ticket } = making.input
  if (ticket === undefined) return null
  const { obligations } = await assess(db, needs, await resolve(db, accountId, making))
  return obligations.approval.some(mayOpenByItself) ? needs.tickets.verify(ticket) : null
}

/**
 * Asks for access to the permit's account. Granted at once when nobody has to approve; else pending, for people to decide.
 * What is refused leaves an entry and nothing else.
 */
export async function requestAccess(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'access.request'>,
  making: Making,
): Promise<Outcome<AccessRequest>> {
  await holdStill(tx, await resolve(tx, permit.resource.id, making))
  // Read again under the locks: what was found before may have changed while they were waited for.
  const asked = await resolve(tx, permit.resource.id, making)
  const assessment = await assess(tx, needs, asked, making.ticketCheck)
  const problem = refusalOf(asked, assessment) ?? misboundOf(making, assessment)
  if (problem) {
    await recordRefusal(tx, needs, permit, { asked, assessment, problem })
    return { kind: 'refused', problem }
  }
  const id = making.id ?? newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    event: accessRequested,
    ...actOf(permit),
    resource: { type: 'AccessRequest', id },
    purpose: asked.purpose.name,
    ...(asked.ticket !== null && { ticket: asked.ticket }),
    facts: {
      ...aboutOf(asked),
      askedTtlSeconds: asked.ttlSeconds,
      ttlSeconds: assessment.ttlSeconds,
      askedUses: asked.uses,
      uses: assessment.uses,
      connections: asked.connections,
      mode: assessment.mode,
      waived: [...assessment.waived],
      obligations: owedOf(assessment.obligations),
      decisionIds: assessment.decisions.map((decision) => decision.id),
      policies: [...assessment.policies],
      boundSha256: assessment.boundSha256.toString('hex'),
      isPending: !assessment.isFree,
      parserEnforced: [...assessment.parserEnforced],
      reason: asked.reason,
      risk: riskTold(assessment.risk),
      ticketCheck: making.ticketCheck ?? null,
      stepUpId: making.stepUp?.id ?? null,
    },
  })
  await insertRequest(tx, needs, { id, asked, assessment, cause, stepUpId: making.stepUp?.id ?? null })
  await reachAccess('access.request-stored')
  if (assessment.isFree) await makeGrant(tx, needs, permit, { requestId: id, asked, assessment, approvers: [] })
  return { kind: 'done', value: await mustLoad(tx, id) }
}

async function insertRequest(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock'>,
  made: {
    readonly id: string
    readonly asked: Asked
    readonly assessment: Assessment
    readonly cause: number
    readonly stepUpId: string | null
  },
): Promise<void> {
  const { id, asked, assessment, cause, stepUpId } = made
  const now = needs.clock.now()
  await tx
    .insertInto('accessRequest')
    .values({
      id,
      requesterId: asked.chain.requester.id,
      subjectId: asked.chain.subject.id,
      onBehalfOfId: asked.chain.onBehalfOf?.id ?? null,
      triggeredById: asked.chain.triggeredBy?.id ?? null,
      proof: asked.chain.proof,
      targetId: asked.target.id,
      accountId: asked.account.id,
      actions: [...asked.actions],
      parserEnforced: [...assessment.parserEnforced],
      purposeId: asked.purpose.id,
      ticket: asked.ticket,
      task: asked.task,
      reason: asked.reason,
      askedTtlSeconds: asked.ttlSeconds,
      ttlSeconds: assessment.ttlSeconds,
      askedUses: asked.uses,
      uses: assessment.uses,
      connections: asked.connections,
      mode: assessment.mode,
      waived: [...assessment.waived],
      isKeptAlive: asked.isKeptAlive,
      stepUp: asked.stepUp,
      stepUpId,
      obligations: JSON.stringify(owedOf(assessment.obligations)),
      policies: JSON.stringify(assessment.policies),
      policyVersion: assessment.policyVersion,
      approverTeams: [...assessment.approverTeams],
      boundSha256: assessment.boundSha256,
      state: assessment.isFree ? 'granted' : 'pending',
      refusal: null,
      createdAt: now,
      expiresAt: secondsAfter(now, PENDING_SECONDS),
      decidedAt: assessment.isFree ? now : null,
      cause,
    })
    .execute()
}

/** What `requestAccess` would do now, and what its approvers would be shown. Changes nothing. */
export async function previewAccess(
  db: Db,
  needs: AccessNeeds,
  permit: Permit<'access.preview'>,
  making: Making,
): Promise<Preview> {
  const asked = await resolve(db, permit.resource.id, making)
  const assessment = await assess(db, needs, asked, making.ticketCheck)
  const refusal = refusalOf(asked, assessment)
  const { uses, mode } = assessment
  const given = { askedUses: asked.uses, uses, mode, waived: [...assessment.waived] }
  return {
    outcome: refusal ? 'refused' : assessment.isFree ? 'granted' : 'pending',
    reasons: [
      ...assessment.purposeGaps,
      ...assessment.reasons,
      ...(assessment.impossible === null ? [] : [assessment.impossible]),
    ],
    owed: [...assessment.owed],
    missing: [...assessment.missing],
    risk: riskShown(assessment.risk),
    ticketCheck: making.ticketCheck ?? null,
    obligations: owedOf(assessment.obligations),
    policies: [...assessment.policies],
    policyVersion: assessment.policyVersion,
    boundSha256: assessment.boundSha256.toString('hex'),
    askedTtlSeconds: asked.ttlSeconds,
    ttlSeconds: assessment.ttlSeconds,
    ...given,
    warnings: warningsOf(given),
    parserEnforced: [...assessment.parserEnforced],
  }
}

/**
 * Keeps who and what a grant is about as it is until the transaction ends: whoever suspends, ends or changes one of them waits,
 * and then finds the grant that was made. Always in this order.
 */
export async function holdStill(tx: Tx, asked: Asked): Promise<void> {
  const { requester, subject, onBehalfOf } = asked.chain
  const ids = [...new Set([requester.id, subject.id, ...(onBehalfOf ? [onBehalfOf.id] : [])])].sort()
  await sql`select from identity where id = any(${ids}::uuid[]) order by id for share`.execute(tx)
  await sql`select from target where id = ${asked.target.id} for share`.execute(tx)
  await sql`select from account where id = ${asked.account.id} for share`.execute(tx)
  await sql`select from purpose where id = ${asked.purpose.id} for share`.execute(tx)
}

async function resolve(db: Db, accountId: string, { caller, input, stepUp }: Making): Promise<Asked> {
  const account = await loadAccountById(db, accountId)
  const target = account && (await loadTarget(db, account.targetId))
  if (!target || target.name !== input.target || account.name !== input.account) {
    throw notFound('There is no such account.', { type: 'Account', id: `${input.account}@${input.target}` })
  }
  holdAct(caller, 'access.request', input)
  const [first, ...rest] = [...input.actions].sort()
  if (first === undefined) {
    throw invalidInput('Name at least one action.', { issues: [{ path: 'actions', message: 'empty' }] })
  }
  return {
    chain: await chainOf(db, caller, input),
    target,
    account,
    purpose: await findPurpose(db, input.purpose),
    actions: [first, ...rest],
    ticket: input.ticket ?? null,
    task: input.task ?? null,
    reason: input.reason ?? null,
    ttlSeconds: input.ttlSeconds,
    uses: input.uses ?? null,
    connections: input.connections,
    isKeptAlive: input.isKeptAlive,
    stepUp: stepUp?.level ?? 'none',
  }
}

function refusalOf(asked: Asked, assessment: Assessment): Problem | undefined {
  if (assessment.purposeGaps.length > 0) {
    return purposeDoesNotCover(assessment.purposeGaps.join(' '), {
      purpose: asked.purpose.name,
      missing: [...assessment.purposeGaps],
    })
  }
  if (!assessment.isPermitted) {
    return notPermitted(`The policies do not permit this. ${assessment.reasons.join(' ')}`, {
      action: asked.actions.join(', '),
      reasons: [...assessment.reasons],
      decisionId: assessment.decisions.find((decision) => !decision.decision)?.id ?? '',
    })
  }
  if (isStepUpAllThatIsOwed(asked, assessment)) {
    const { action, id } = assessment.decisions[0] ?? { action: asked.actions.join(', '), id: '' }
    return stepUpOwed(action, assessment.obligations.stepUp, id)
  }
  if (assessment.owed.length > 0) {
    return obligationsOwed(assessment.owed.join(' '), { owed: [...assessment.owed] })
  }
  if (assessment.impossible !== null) {
    return noPossibleApprover(assessment.impossible, { missing: [assessment.impossible] })
  }
  return undefined
}

function isStepUpAllThatIsOwed(asked: Asked, { owed, obligations, mode }: Assessment): boolean {
  const levels = ['none', 'mfa', 'phishing-resistant']
  return mode === 'enforce' && owed.length === 1 && levels.indexOf(asked.stepUp) < levels.indexOf(obligations.stepUp)
}

/** What a person proved themselves for is what they saw: anything else is not theirs (rule 8). */
function misboundOf({ stepUp }: Making, { boundSha256 }: Assessment): Problem | undefined {
  if (!stepUp || stepUp.innerSha256?.equals(boundSha256)) return undefined
  return stepUpVoid('What would be granted is not what the person was shown. Ask them again.', { stepUpId: stepUp.id })
}

/** What `requestAccess` would decide and bind now: what a person steps up for. */
export async function innerOfAccess(db: Db, needs: AccessNeeds, accountId: string, making: Making): Promise<Inner> {
  const { obligations, boundSha256, mode } = await assess(
    db,
    needs,
    await resolve(db, accountId, making),
    making.ticketCheck,
  )
  return { level: mode === 'enforce' ? obligations.stepUp : 'none', boundSha256 }
}

async function recordRefusal(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit,
  refused: { readonly asked: Asked; readonly assessment: Assessment; readonly problem: Problem },
): Promise<void> {
  const { asked, assessment, problem } = refused
  const cause = await needs.ledger.record(tx, {
    event: accessRefused,
    ...actOf(permit),
    outcome: 'refused',
    resource: { type: 'Account', id: asked.account.id },
    purpose: asked.purpose.name,
    ...(asked.ticket !== null && { ticket: asked.ticket }),
    facts: {
      ...aboutOf(asked),
      problem: problem.slug,
      decisionIds: assessment.decisions.map((decision) => decision.id),
      reasons: [problem.message],
      reason: asked.reason,
      risk: riskTold(assessment.risk),
    },
  })
  await tx
    .insertInto('accessRefusal')
    .values({
      id: newId(needs.clock, needs.random),
      subjectId: asked.chain.subject.id,
      targetId: asked.target.id,
      accountId: asked.account.id,
      actions: [...asked.actions],
      problem: problem.slug,
      at: needs.clock.now(),
      cause,
    })
    .execute()
}

export async function mustLoad(tx: Tx, requestId: string): Promise<AccessRequest> {
  const request = await loadRequest(tx, requestId)
  if (!request) throw notFound('There is no such request.', { type: 'AccessRequest', id: requestId })
  return request
}
