import { secondsAfter } from '../../kernel/clock.ts'
import { linked } from '../entity.ts'
import type { Decision } from '../decide.ts'
import { noEvidence, outstanding, type Evidence, type Obligations } from '../obligations.ts'
import type { Answer, AnswerContext, AskedQuestion } from './asked.ts'
import type { Denied } from './denial.ts'
import type { Prepared } from './question.ts'

/** Of the Obligations profile (draft): what an enforcement point may say it carries out, and what we then ask of it. */
export const SUPPORTED_OBLIGATIONS = ['urn:reeve:obligation:record', 'urn:reeve:obligation:max-duration'] as const
const [RECORD, MAX_DURATION] = SUPPORTED_OBLIGATIONS

/** How what was denied may be requested, and the reference that binds a request to it; the composition root knows the operation. */
type Requestable = (
  prepared: Prepared,
  asked: AskedQuestion,
  denial: Pick<Denied, 'evaluationId' | 'expiresAt'>,
) => Pick<NonNullable<AnswerContext['access_request']>, 'request' | 'binding_token'> | undefined

export type AnswerTerms = {
  /** Whether the drafts of the working group are spoken: obligations and requestable denials. */
  readonly drafts: boolean
  readonly requestable: Requestable
}

/** A denial may be requested for this long before it has to be asked again. */
const REQUESTABLE_SECONDS = 600

/** The answer on the wire. Whatever is owed and not shown denies: an enforcement point that reads `decision` alone is safe. */
export function answerOf(
  terms: AnswerTerms,
  asked: AskedQuestion,
  prepared: Prepared,
  decision: Decision,
): { readonly answer: Answer; readonly decided: 'permit' | 'owed' | 'deny' } {
  const supports = terms.drafts ? supportedBy(asked) : new Set<string>()
  const owed = decision.decision ? owedOf(decision.obligations, evidenceOf(prepared, supports), supports) : []
  const decided = !decision.decision ? 'deny' : owed.length > 0 ? 'owed' : 'permit'
  const context: AnswerContext = {
    evaluation_id: decision.id,
    evaluated_at: decision.evaluatedAt.toISOString(),
    policy_version: decision.policyVersion,
    policies: decision.policies.map(({ id }) => id),
    reasons: [...decision.reasons],
    ...(owed.length > 0 && { owed }),
    ...(terms.drafts && decided === 'permit' && { obligations: toCarryOut(decision.obligations) }),
  }
  const request =
    terms.drafts && mayBeRequested(decided, decision) ? requestOf(terms, asked, prepared, decision) : undefined
  return {
    answer: { decision: decided === 'permit', context: { ...context, ...(request && { access_request: request }) } },
    decided,
  }
}

/** An answer to what could not be put to the policies. */
export function refusal(message: string, more: AnswerContext = {}): Answer {
  return { decision: false, context: { ...more, reasons: [message] } }
}

/** §7.2.1: one of a batch that is no question. */
export function malformed(message: string): Answer {
  return { decision: false, context: { error: { status: 400, message } } }
}

function supportedBy(asked: AskedQuestion): Set<string> {
  const listed: unknown = asked.context?.['supported_obligations']
  return new Set(Array.isArray(listed) ? listed.filter((each) => typeof each === 'string') : [])
}

function evidenceOf({ resource, reasonGiven, ticket }: Prepared, supports: ReadonlySet<string>): Evidence {
  const { ownerTeam } = resource.entities[0]?.attributes ?? {}
  const team = (typeof ownerTeam === 'object' && linked(ownerTeam)?.id) || null
  return {
    ...noEvidence,
    approvalFacts: { ...noEvidence.approvalFacts, ownerOfTarget: team },
    recording: supports.has(RECORD) ? 'full' : 'none',
    reasonGiven,
    ticket,
  }
}

function owedOf(obligations: Obligations, evidence: Evidence, supports: ReadonlySet<string>): string[] {
  const owed = outstanding(obligations, evidence)
  if (obligations.ttlSeconds !== null && !supports.has(MAX_DURATION)) {
    owed.push(
      `It must end after ${obligations.ttlSeconds} seconds, and the enforcement point does not say that it ends it.`,
    )
  }
  // Answers do not know of each other: only a grant counts.
  if (obligations.uses !== null) owed.push(`It is for ${obligations.uses} use(s), which takes a grant.`)
  return owed
}

function toCarryOut({ recording, ttlSeconds }: Obligations): NonNullable<AnswerContext['obligations']> {
  return [
    ...(recording === 'none' ? [] : [{ id: 'record', type: RECORD, properties: { level: recording } }]),
    ...(ttlSeconds === null ? [] : [{ id: 'max-duration', type: MAX_DURATION, properties: { seconds: ttlSeconds } }]),
  ]
}

/** What is owed can be asked for; so can what no policy permits yet. What one forbids cannot, and an error is nobody's to ask for. */
function mayBeRequested(decided: 'permit' | 'owed' | 'deny', decision: Decision): boolean {
  return decided === 'owed' || (decided === 'deny' && decision.policies.length === 0 && decision.errors.length === 0)
}

function requestOf(
  { requestable }: AnswerTerms,
  asked: AskedQuestion,
  prepared: Prepared,
  { id, evaluatedAt }: Decision,
): AnswerContext['access_request'] {
  const expiresAt = secondsAfter(evaluatedAt, REQUESTABLE_SECONDS).toISOString()
  const found = requestable(prepared, asked, { evaluationId: id, expiresAt })
  return found && { expires_at: expiresAt, display: { title: 'Access to this can be requested.' }, ...found }
}
