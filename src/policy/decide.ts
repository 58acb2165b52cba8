import { mintPermit, type EntityRef, type Permit, type PermitTerms } from '../kernel/permit.ts'
import type { Entity, PolicyValue } from './entity.ts'
import type { Engine, Evaluation } from './evaluate.ts'
import { couldPermit } from './near-miss.ts'
import { joinObligations, noObligations, outstanding, type Evidence, type Obligations } from './obligations.ts'
import type { Policy } from './policy-set.ts'

/** A question in AuthZEN's words. The subject comes from verified proof, never from a request's body (core 3). */
export type Question<A extends string = string> = {
  readonly subject: EntityRef
  /** The other links of the chain, such as the person an agent acts for. Each must be permitted itself. */
  readonly onBehalfOf?: readonly EntityRef[]
  readonly action: { readonly name: A }
  readonly resource: EntityRef
  readonly context: Readonly<Record<string, PolicyValue>>
}

/** What is known when the question is asked. */
export type DecisionFacts = {
  readonly decisionId: string
  /** The database's time; policies see it as `context.now`, whatever the question says. */
  readonly now: Date
  /** Where records and policies stand; a change of it voids what was decided before. */
  readonly epoch: string
  /** The slice: every link, the resource, and all they refer to. */
  readonly entities: readonly Entity[]
  /** What the catalog asks for this action whatever the policies say. */
  readonly floor?: Obligations
}

export type Decision<A extends string = string> = {
  readonly id: string
  readonly decision: boolean
  readonly subject: EntityRef
  readonly action: A
  readonly resource: EntityRef
  /** The whole answer in sentences: what permitted, what forbade, what erred, or what could permit. */
  readonly reasons: readonly string[]
  /** Of a permit: joined over the catalog's floor, all determining policies and all links. */
  readonly obligations: Obligations
  /** The policies that determined it, with the hashes that an approval binds. */
  readonly policies: readonly { readonly id: string; readonly sha256: string }[]
  readonly errors: readonly string[]
  /** Of a deny: no policy permits it, and none forbids it or erred. */
  readonly isUnpermitted: boolean
  /** Hash of the whole set. */
  readonly policyVersion: string
  readonly epoch: string
  readonly evaluatedAt: Date
}

/** A chain is at most: agent, sub-agents, person, task. */
const MAX_LINKS = 8

/** More ways than this to be permitted confuse more than they help. */
const MAX_NEAR_MISSES = 4

/** What `permitFrom` trusts: the terms as they were decided here. */
type Made = { readonly question: Question; readonly facts: DecisionFacts; readonly obligations: Obligations }

/** Carries what was decided out of reach of whoever holds the decision: a copy or an altered one does not have it. */
class Decided {
  readonly #made: Made | undefined

  constructor(made: Made | undefined) {
    this.#made = made
  }

  static madeOf(value: object): Made | undefined {
    return #made in value ? value.#made : undefined
  }
}

/** The decision of every door. Never throws: what can't be decided is denied with a reason. */
export function decide<A extends string>(engine: Engine, question: Question<A>, facts: DecisionFacts): Decision<A> {
  const answers = answerChain(engine, question, facts)
  const permitted = answers.length > 0 && answers.every((answer) => answer.permitted)
  // Of a deny, only what denies is told: a link that would have been permitted explains nothing.
  const telling = permitted ? answers : answers.filter((answer) => !answer.permitted)
  const joined = permitted
    ? joinedOf([facts.floor ?? noObligations, ...telling.map((answer) => answer.obligations)])
    : noObligations
  const made = permitted ? { question: own(question), facts: { ...facts }, obligations: joined } : undefined
  // Most chains have one link, and its answer is the whole one.
  const [first] = telling
  const only = telling.length === 1 ? first : undefined
  const decision: Decision<A> = Object.freeze(
    Object.assign(new Decided(made), {
      id: facts.decisionId,
      decision: permitted,
      subject: question.subject,
      action: question.action.name,
      resource: question.resource,
      reasons: only?.reasons ?? telling.flatMap((answer) => answer.reasons),
      obligations: joined,
      policies: only?.policies.map(named) ?? distinct(telling),
      errors: only?.errors ?? telling.flatMap((answer) => answer.errors),
      isUnpermitted: !permitted && telling.length > 0 && telling.every((answer) => answer.isUnpermitted),
      policyVersion: engine.set.sha256,
      epoch: facts.epoch,
      evaluatedAt: facts.now,
    }),
  )
  return decision
}

type Named = Decision['policies'][number]

function named({ id, sha256 }: Policy): Named {
  return { id, sha256 }
}

/** Links may be permitted by the same policies. */
function distinct(answers: readonly Answer[]): Named[] {
  const byId = new Map<string, Named>()
  for (const { policies } of answers) for (const policy of policies) byId.set(policy.id, named(policy))
  return [...byId.values()]
}

export type PermitOutcome<A extends string> =
  | { readonly kind: 'permit'; readonly permit: Permit<A> }
  /** Permitted, if what is owed is shown; a sentence each. */
  | { readonly kind: 'owed'; readonly owed: readonly string[] }
  | { readonly kind: 'denied'; readonly reasons: readonly string[] }

/**
 * The permit of a decision whose obligations are met. Works only on the very object that `decide()` returned: a copy or
 * an altered decision is a deny. How long and how often is for the command to bound with `withinLimits`.
 */
export function permitFrom<A extends string>(decision: Decision<A>, evidence: Evidence): PermitOutcome<A> {
  const made = Decided.madeOf(decision)
  if (!made) {
    const reasons = decision.decision ? ['This decision was not made here.'] : decision.reasons
    return { kind: 'denied', reasons }
  }
  const owed = outstanding(made.obligations, evidence)
  if (owed.length > 0) return { kind: 'owed', owed }
  return { kind: 'permit', permit: mintPermit({ ...termsOf(made), action: decision.action }) }
}

/** As it was asked: who asked may change what they hold. */
function own({ subject, onBehalfOf = [], action, resource, context }: Question): Question {
  return {
    subject: { ...subject },
    onBehalfOf: onBehalfOf.map((link) => ({ ...link })),
    action: { ...action },
    resource: { ...resource },
    context,
  }
}

/** The join of what asks for something. Alone it is looked at once: every decision joins, and most of them the same. */
function joinedOf(all: readonly Obligations[]): Obligations {
  const asking = all.filter((each) => each !== noObligations)
  const [only] = asking
  if (!only) return noObligations
  if (asking.length > 1) return joinObligations(asking)
  const known = alone.get(only) ?? joinObligations(asking)
  alone.set(only, known)
  return known
}

const alone = new WeakMap<Obligations, Obligations>()

function termsOf({ question, facts }: Made): PermitTerms {
  return {
    action: question.action.name,
    // The permit has copies of its own.
    subject: question.subject,
    onBehalfOf: question.onBehalfOf ?? [],
    resource: question.resource,
    policyEpoch: facts.epoch,
    decisionId: facts.decisionId,
    evaluatedAt: facts.now,
  }
}

/** What one link of the chain was answered. */
type Answer = {
  readonly permitted: boolean
  readonly reasons: readonly string[]
  readonly obligations: Obligations
  readonly policies: readonly Policy[]
  readonly errors: readonly string[]
  readonly isUnpermitted: boolean
}

function refusal(reason: string, more: Partial<Answer> = {}): Answer {
  return {
    permitted: false,
    reasons: [reason],
    obligations: noObligations,
    policies: [],
    errors: [],
    isUnpermitted: false,
    ...more,
  }
}

function answerChain(engine: Engine, question: Question, facts: DecisionFacts): Answer[] {
  try {
    const links = [question.subject, ...(question.onBehalfOf ?? [])]
    if (links.length > MAX_LINKS) return [refusal(`A chain has at most ${MAX_LINKS} links.`)]
    return links.map((principal, at) => answerLink(engine, principal, links[at + 1], question, facts))
  } catch {
    return [refusal('The question could not be read.', { errors: ['The question could not be read.'] })]
  }
}

function answerLink(
  engine: Engine,
  principal: EntityRef,
  next: EntityRef | undefined,
  question: Question,
  facts: DecisionFacts,
): Answer {
  const { resource, action } = question
  // The language treats an entity without data as one without attributes; what nobody knows is refused before that.
  for (const wanted of [principal, resource]) {
    if (!find(facts, wanted)) return refusal(`${describe(wanted, facts)} is not known here.`)
  }
  const evaluation = engine.evaluate({
    principal,
    action: action.name,
    resource,
    // Time and delegation are ours to say: what the question claims of them is dropped.
    context: contextOf(question, next, facts),
    entities: facts.entities,
  })
  return answerOf(evaluation, () => {
    const act = `${describe(principal, facts)} to ${shown(action.name)} on ${describe(resource, facts)}`
    const could = couldPermit(engine.set, principal.type, action.name).slice(0, MAX_NEAR_MISSES).map(inWords)
    return `No policy permits ${act}.${could.length > 0 ? ` What could: ${could.join('; ')}.` : ''}`
  })
}

function contextOf({ context }: Question, next: EntityRef | undefined, { now }: DecisionFacts): Question['context'] {
  const isClaimed = Object.hasOwn(context, 'onBehalfOf')
  if (next) return { ...context, now, onBehalfOf: { type: next.type, id: next.id } }
  if (!isClaimed) return { ...context, now }
  const { onBehalfOf: _claimed, ...rest } = context
  return { ...rest, now }
}

function answerOf(evaluation: Evaluation, unpermitted: () => string): Answer {
  const { decision, determining, errors } = evaluation
  if (errors.length > 0) {
    const told = errors.map(({ policy, message }) => (policy === null ? message : `${policy}: ${message}`))
    return refusal(`A policy could not be evaluated, so nobody is permitted: ${told.join('; ')}.`, { errors: told })
  }
  const words = determining.map(inWords)
  if (decision && determining.length > 0) {
    const obligations = joinedOf(determining.map((policy) => policy.obligations))
    return { permitted: true, reasons: words, obligations, policies: determining, errors: [], isUnpermitted: false }
  }
  if (determining.length > 0) {
    return { ...refusal(''), reasons: words.map((why) => `Forbidden: ${why}`), policies: determining }
  }
  return refusal(unpermitted(), { isUnpermitted: true })
}

function inWords(policy: Policy): string {
  return policy.why === null ? policy.id : `${policy.why} (${policy.id})`
}

function find(facts: DecisionFacts, { type, id }: EntityRef): Entity | undefined {
  return facts.entities.find((entity) => entity.type === type && entity.id === id)
}

function describe(ref: EntityRef, facts: DecisionFacts): string {
  const name = find(facts, ref)?.attributes['name']
  return `${shown(ref.type)} ${shown(typeof name === 'string' ? name : ref.id)}`
}

/** A word from a question as it may stand in a sentence: short, one line, nothing that could act on a terminal. */
function shown(word: string): string {
  return /^[\w.@:/-]{1,64}$/.test(word) ? word : JSON.stringify(word.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, '?'))
}
