import type { Db } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { soon, type Soon } from '../../kernel/soon.ts'
import { nextTurn } from '../../kernel/timer.ts'
import type { Actor, Ledger } from '../../ledger/ledger.ts'
import type { Decision } from '../decide.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { PolicySet } from '../policy-set.ts'
import { entryOf, type Fingerprint, type Link, type Observed } from '../observed.ts'
import type { Reported } from '../decider/contract.ts'
import { answerOf, malformed, refusal, type AnswerTerms } from './answer.ts'
import { AskedQuestion, type Answer, type AskedBatch, type BatchAnswer } from './asked.ts'
import type { Facts, Found } from './facts.ts'
import { decidePrepared, factsFor, prepare, type Prepared, type QuestionNeeds, type Unanswerable } from './question.ts'
import { vocabularyOf } from './vocabulary.ts'

export type EvaluateNeeds = QuestionNeeds &
  AnswerTerms & {
    readonly engine: LiveEngine
    readonly ledger: Pick<Ledger, 'observe'>
    /** Told when what a question refers to could not be read. The question is denied. */
    readonly onUnread?: (error: unknown) => void
    readonly fingerprint: Fingerprint
    /** Which decisions are entered: all, or only those about privileged acts. An answer waits until its entry is durable. */
    readonly entries: 'all' | 'privileged'
  }

/** One answer (§6). Whatever cannot be decided is a deny that says why. */
export function evaluate(db: Db, needs: EvaluateNeeds, actor: Actor, asked: AskedQuestion): Soon<Answer> {
  return soon(answerOne(db, needs, asking(db, needs, actor), asked), ({ answer, entered }) =>
    entered ? entered.then(() => answer) : answer,
  )
}

/** Many answers (§7): in their order, and cut after the one that settles it where that is asked for. */
export async function evaluateBatch(
  db: Db,
  needs: EvaluateNeeds,
  actor: Actor,
  batch: AskedBatch,
): Promise<BatchAnswer> {
  const { evaluations = [], options, subject, action, resource, context } = batch
  const call = asking(db, needs, actor)
  const defaults = { subject, action, resource, context }
  const semantic = options?.evaluations_semantic ?? 'execute_all'
  const answers: Answer[] = []
  const entries: Promise<void>[] = []
  for (const item of evaluations) {
    // A member of an item takes the place of the default as a whole (§7.1.1).
    const asked = AskedQuestion.safeParse({ ...withoutUndefined(defaults), ...item })
    const { answer, entered } = asked.success
      ? await answerOne(db, needs, call, asked.data)
      : { answer: malformed(describe(asked.error)) }
    answers.push(answer)
    if (entered) entries.push(entered)
    // Waited for below, all at once; until then a refusal of the ledger has somebody who listens.
    entered?.catch(() => undefined)
    if (semantic === 'deny_on_first_deny' && !answer.decision) break
    if (semantic === 'permit_on_first_permit' && answer.decision) break
    // Many in a row would keep everybody else waiting.
    await nextTurn()
  }
  await Promise.all(entries)
  return { evaluations: answers }
}

/** What the questions of one call share: the words of one version of the policies, and facts that are loaded once. */
type Asking = { readonly set: PolicySet; readonly facts: Facts; readonly actor: Actor }

function asking(db: Db, needs: EvaluateNeeds, actor: Actor): Asking {
  const { set } = needs.engine.current()
  return { set, facts: factsFor(db, needs, set), actor }
}

/** An answer, and when it may be given: where it has an entry, `entered` resolves once that is durable. */
type Answering = { readonly answer: Answer; readonly entered?: Promise<void> }

function answerOne(db: Db, needs: EvaluateNeeds, call: Asking, asked: AskedQuestion): Soon<Answering> {
  const unread = (error: unknown): Unanswerable => {
    needs.onUnread?.(error)
    return UNREAD
  }
  return soon(
    prepareOr(() => prepare(db, needs, call.facts, call.set, asked), unread),
    (prepared) => answerPrepared(db, needs, call, { asked, prepared }),
  )
}

/** What cannot be read is denied, whether that shows at once or later. */
function prepareOr(
  work: () => Soon<Prepared | Unanswerable>,
  unread: (error: unknown) => Unanswerable,
): Soon<Prepared | Unanswerable> {
  try {
    const prepared = work()
    return prepared instanceof Promise ? prepared.catch(unread) : prepared
  } catch (error) {
    return unread(error)
  }
}

type AskedAnd = { readonly asked: AskedQuestion; readonly prepared: Prepared | Unanswerable }

function answerPrepared(db: Db, needs: EvaluateNeeds, call: Asking, { asked, prepared }: AskedAnd): Soon<Answering> {
  const { set } = needs.engine.current()
  if (set.words.sha256 !== call.set.words.sha256) {
    // The words belong to the version that decides: what was read by those of another is read again.
    return answerOne(db, needs, { ...call, set, facts: factsFor(db, needs, set) }, asked)
  }
  if ('unanswerable' in prepared) return unanswered(needs, call, asked, prepared)
  const decision = decidePrepared(needs, prepared)
  const { answer, decided } = answerOf(needs, asked, prepared, decision)
  const isEntered = needs.entries === 'all' || isPrivileged(call.set, prepared.question.action.name)
  return isEntered ? { answer, entered: enter(needs, call.actor, prepared, decision, decided) } : { answer }
}

/** Enters an answer with its question; resolves when that is durable. */
export function enter(
  { ledger, fingerprint }: Pick<EvaluateNeeds, 'ledger' | 'fingerprint'>,
  actor: Actor,
  { question, subject, onBehalfOf, resource, entities }: Prepared,
  decision: Decision,
  decided: 'permit' | 'owed' | 'deny',
): Promise<void> {
  const entry = entryOf(fingerprint, {
    decision,
    via: 'authzen',
    decided,
    actor,
    chain: [subject, ...onBehalfOf].map(linkOf),
    resource: { ...resource.ref, isRecord: resource.isRecord },
    context: question.context,
    entities,
  })
  return ledger.observe({ ...entry, action: 'decision.evaluate' })
}

/** Nothing is remembered of it, or not surely enough, and the database does not say. */
const UNREAD: Unanswerable = { unanswerable: 'What the question refers to could not be read.' }

/** Entered like any other: who is asked about in vain is worth knowing. What was asked stands in it as a fingerprint. */
function unanswered(
  needs: EvaluateNeeds,
  { set, actor }: Asking,
  asked: AskedQuestion,
  { unanswerable }: Unanswerable,
): Answering {
  const vocabulary = vocabularyOf(set)
  const id = newId(needs.clock, needs.random)
  const policyVersion = set.sha256
  const name = vocabulary.actionOf(asked.action.name)
  const answer = refusal(unanswerable, { evaluation_id: id, policy_version: policyVersion })
  if (needs.entries === 'privileged' && !isPrivileged(set, name)) return { answer }
  const entry = entryOf(needs.fingerprint, {
    decision: { id, policyVersion, action: name ?? UNKNOWN, policies: [], errors: [unanswerable] },
    via: 'authzen',
    decided: 'deny',
    actor,
    ...outsideOf(set, asked),
    context: {},
    entities: [],
  })
  return { answer, entered: needs.ledger.observe({ ...entry, action: 'decision.evaluate' }) }
}

/** Enters a decision that was made elsewhere: what it says of names is looked up here, so that an entry is as any other. */
export async function enterReported(db: Db, needs: EvaluateNeeds, call: Asking, reported: Reported): Promise<void> {
  const { question: asked, decided, decisionId: id, policyVersion, policies, errors, sliceSha256: hash } = reported
  const prepared = await prepare(db, needs, call.facts, call.set, asked)
  const isKnown = !('unanswerable' in prepared)
  const decision = {
    id,
    policyVersion,
    action: (isKnown ? prepared.question.action.name : vocabularyOf(call.set).actionOf(asked.action.name)) ?? UNKNOWN,
    policies: policies.map((policy) => ({ id: policy, sha256: '' })),
    errors: Array.from({ length: errors }, () => ''),
  }
  const entry = entryOf(needs.fingerprint, {
    decision,
    via: 'library',
    decided,
    actor: call.actor,
    decidedAt: reported.decidedAt,
    entities: hash === null ? [] : { sha256: hash },
    ...(isKnown
      ? {
          chain: [prepared.subject, ...prepared.onBehalfOf].map(linkOf),
          resource: { ...prepared.resource.ref, isRecord: prepared.resource.isRecord },
          context: prepared.question.context,
        }
      : { ...outsideOf(call.set, asked), context: {} }),
  })
  await needs.ledger.observe({ ...entry, action: 'decision.report' })
}

/** Of a question that leads nowhere, who and what stand in its entry. */
function outsideOf(set: PolicySet, { subject, resource }: AskedQuestion): Pick<Observed, 'chain' | 'resource'> {
  const vocabulary = vocabularyOf(set)
  const outside = (named: { type: string; id: string }) => {
    return { type: vocabulary.typeOf(named.type) ?? UNKNOWN, id: `${named.type}\n${named.id}`, isRecord: false }
  }
  return { chain: [{ ...outside(subject), proof: null }], resource: outside(resource) }
}

const UNKNOWN = 'unknown'

export function isPrivileged(set: PolicySet, action: string | undefined): boolean {
  return action !== undefined && set.schema.actionGroups.get(action)?.has('privileged') === true
}

function linkOf({ ref, isRecord, proof }: Found): Link {
  return { ...ref, isRecord, proof: proof ?? null }
}

/** Where an item is wrong, in words of ours: what was sent is not echoed. */
function describe(error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] }): string {
  return error.issues
    .slice(0, 5)
    .map(
      ({ path, message }) =>
        `${path
          .slice(0, 2)
          .map(String)
          .filter((name) => /^[a-z]{1,16}$/.test(name))
          .join('.')}: ${message}`,
    )
    .join('; ')
    .slice(0, 500)
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
