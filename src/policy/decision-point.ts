import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { linked, type Entity, type PolicyValue } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import type { EntityRef, Permit } from '../kernel/permit.ts'
import { approvalOwed, notPermitted } from '../kernel/problem.ts'
import { stepUpOwed } from './step-up-owed.ts'
import { newId, type Random } from '../kernel/random.ts'
import { both, soon, type Soon } from '../kernel/soon.ts'
import { actorOf, principalEntitiesBy, type Proof, type Teams } from '../identities/identities.ts'
import { isSatisfied, missingApprovals } from './approval.ts'
import { decide, permitFrom, type Decision } from './decide.ts'
import type { LiveEngine } from './live-engine.ts'
import type { Observed } from './observed.ts'
import { noEvidence, outstanding, type Evidence, type Obligations } from './obligations.ts'
import { recordFactsFor, type RecordFacts } from './record-facts.ts'
import type { RiskModel } from './risk/model.ts'
import { joined } from './slices.ts'

/** A question as an enforcement point asks it: identities by id, the resource with its facts. */
type Asked<A extends string> = {
  readonly subject: EntityRef & { readonly proof: Proof }
  /** The other links of the chain; their proof is what the chain's verifier says of them. */
  readonly onBehalfOf?: readonly (EntityRef & { readonly proof: Proof })[]
  readonly action: A
  readonly resource: Resource
  readonly context?: Readonly<Record<string, PolicyValue>>
  readonly floor?: Obligations
  /** The instant that is asked about, as policies see it; now, where it is left out. */
  readonly at?: Date
  /** What was read of the record for this very question, in the transaction that acts on the answer. What is not in it is looked up. */
  readonly held?: Pick<RecordFacts, 'identity' | 'isBootstrap'>
}

/** Several actions of one subject on one resource. */
type AskedEach = Omit<Asked<string>, 'action' | 'floor'> & {
  readonly actions: readonly { readonly name: string; readonly floor: Obligations }[]
}

/** The one routine behind every door: it loads what the question refers to and decides. */
export type DecisionPoint = {
  decide<A extends string>(db: Db, asked: Asked<A>): Promise<Decision<A>>
  /** A decision for each action, in their order; what they refer to is loaded once. */
  decideEach(db: Db, asked: AskedEach): Promise<Decision[]>
  /**
   * The permit, or a problem: `approvalOwed` when others have to agree, `insufficientUserAuthentication` when only a fresh proof of the person
   * is missing, else `notPermitted`, which says why not or what is owed.
   */
  permit<A extends string>(db: Db, asked: Asked<A>, evidence?: Partial<Evidence>): Promise<Permit<A>>
  /** As `permit`, and at once where everything that the question refers to is at hand; then it throws what `permit` rejects with. */
  permitSoon<A extends string>(db: Db, asked: Asked<A>, evidence?: Partial<Evidence>): Soon<Permit<A>>
  /** Names the policies that decide now; a permit of another epoch is not for now. */
  epoch(): string
  /** The weights of the version that decides now. */
  riskModel(): RiskModel
}

export type DecisionNeeds = {
  readonly engine: LiveEngine
  readonly teams: Teams
  readonly clock: Clock
  readonly random: Random
  /** At a door: the record as the node remembers it. Without it, and inside a transaction, the rows count. */
  readonly record?: RecordFacts
  /** Told of every decision about a privileged act. */
  readonly observe?: (observed: Observed) => void
}

export function openDecisionPoint(needs: DecisionNeeds): DecisionPoint {
  const point: DecisionPoint = {
    async decide(db, asked) {
      return answer(needs, await sliceOf(db, needs, asked), asked)
    },
    async decideEach(db, { actions, ...asked }) {
      const slice = await sliceOf(db, needs, asked)
      return actions.map(({ name, floor }) => {
        const decision = answer(needs, slice, { ...asked, action: name, floor })
        needs.observe?.(observedOf(slice, asked, decision))
        return decision
      })
    },
    async permit(db, asked, evidence) {
      return point.permitSoon(db, asked, evidence)
    },
    permitSoon: (db, asked, evidence = {}) =>
      soon(sliceOf(db, needs, asked), (slice) => permitOr(asked, answer(needs, slice, asked), evidence)),
    epoch: () => needs.engine.current().set.sha256,
    riskModel: () => needs.engine.current().set.risk,
  }
  return point
}

function permitOr<A extends string>(asked: Asked<A>, decision: Decision<A>, evidence: Partial<Evidence>): Permit<A> {
  const shown = { ...noEvidence, approvalFacts: approvalFactsOf(asked.resource), ...evidence }
  const outcome = permitFrom(decision, shown)
  if (outcome.kind === 'permit') return outcome.permit
  if (outcome.kind === 'owed') {
    refuseForApprovalAlone(decision, shown)
    refuseForStepUpAlone(decision, shown)
  }
  const reasons = outcome.kind === 'owed' ? outcome.owed : outcome.reasons
  throw notPermitted(`You may not do ${asked.action} here. ${reasons.join(' ')}`, {
    action: asked.action,
    reasons: [...reasons],
    decisionId: decision.id,
  })
}

type Slice = { readonly entities: readonly Entity[]; readonly bootstrap: boolean }

/** What a question refers to. */
function sliceOf(
  db: Db,
  { teams, record }: Pick<DecisionNeeds, 'teams' | 'record'>,
  asked: Pick<Asked<string>, 'subject' | 'onBehalfOf' | 'resource' | 'held'>,
): Soon<Slice> {
  const facts = asked.held ?? recordFactsFor(db, record)
  const entities = ({ id, proof }: (typeof asked)['subject']) => principalEntitiesBy(facts, teams, id, proof)
  const { subject, onBehalfOf = [], resource } = asked
  const others = () =>
    onBehalfOf.length === 0 ? NO_LINKS : Promise.all(onBehalfOf.map(async (link) => entities(link)))
  return both(entities(subject), others, (first, rest) =>
    soon(facts.isBootstrap(), (bootstrap) => ({
      entities: joined([first, ...rest, entitiesOf(resource)]),
      bootstrap,
    })),
  )
}

const NO_LINKS: readonly (readonly Entity[])[] = []

/** A decision about a privileged act with its question. */
function observedOf(slice: Slice, asked: Omit<AskedEach, 'actions'>, decision: Decision): Observed {
  const links = [asked.subject, ...(asked.onBehalfOf ?? [])]
  return {
    decision,
    via: 'access',
    // What is owed is for access to settle, with approvals and grants that have entries of their own.
    decided: decision.decision ? 'permit' : 'deny',
    actor: actorOf(asked.subject),
    chain: links.map(({ type, id, proof }) => ({ type, id, proof, isRecord: true })),
    resource: { ...ref(asked.resource), isRecord: true },
    context: contextOf(slice, asked),
    entities: slice.entities,
  }
}

function contextOf({ bootstrap }: Slice, { context }: Pick<Asked<string>, 'context'>): Record<string, PolicyValue> {
  return { ...ORDINARY, bootstrap, ...context }
}

function answer<A extends string>(needs: DecisionNeeds, slice: Slice, asked: Asked<A>): Decision<A> {
  const engine = needs.engine.current()
  return decide(
    engine,
    {
      subject: ref(asked.subject),
      onBehalfOf: (asked.onBehalfOf ?? []).map(ref),
      action: { name: asked.action },
      resource: ref(asked.resource),
      context: contextOf(slice, asked),
    },
    {
      decisionId: newId(needs.clock, needs.random),
      now: asked.at ?? needs.clock.now(),
      epoch: engine.set.sha256,
      entities: slice.entities,
      ...(asked.floor && { floor: asked.floor }),
    },
  )
}

/** Throws `approvalOwed` when nothing else is missing. A reason is given with the asking, and a fresh proof with what is then applied. */
function refuseForApprovalAlone({ id, action, obligations }: Decision, evidence: Evidence): void {
  if (isSatisfied(obligations.approval, evidence.approvals, evidence.approvalFacts)) return
  const others = { ...obligations, approval: [], reasonRequired: false, stepUp: 'none' } as const
  if (outstanding(others, evidence).length > 0) return
  const missing = missingApprovals(obligations.approval, evidence.approvals, evidence.approvalFacts)
  throw approvalOwed(
    `Others have to approve ${action} here: ${missing.join('; or ')}. Make the same call with Reeve-Request-Approval: <reason>, and it is put before them.`,
    { action, missing, decisionId: id },
  )
}

/** Throws `insufficientUserAuthentication` when nothing else is missing. */
function refuseForStepUpAlone({ id, action, obligations }: Decision, evidence: Evidence): void {
  if (outstanding({ ...obligations, stepUp: 'none' }, evidence).length > 0) return
  throw stepUpOwed(action, obligations.stepUp, id)
}

/** Whose approval would count for an operation on this. */
export function approvalFactsOf({ type, attributes }: Resource): Evidence['approvalFacts'] {
  const { ownerTeam } = attributes
  const team = (typeof ownerTeam === 'object' && linked(ownerTeam)?.id) || null
  const isIdentity = type === 'Identity'
  return { ...noEvidence.approvalFacts, ...(isIdentity ? { ownerOfSubject: team } : { ownerOfTarget: team }) }
}

/** What holds when nobody says otherwise. */
const ORDINARY = { channel: 'api', requestKind: 'ordinary', freeze: false, reasonGiven: false } as const

function ref({ type, id }: EntityRef): EntityRef {
  return { type, id }
}

/**
 * The resource as an entity. What it belongs to is named and not described: the engine follows names, and refuses an entity that
 * lacks what its type demands.
 */
function entitiesOf(resource: Resource): readonly Entity[] {
  const known = entityLists.get(resource)
  if (known) return known
  const { type, id, attributes, parents = [] } = resource
  const entities: Entity[] = [{ type, id, attributes, parents: parents.map(ref) }]
  if (Object.isFrozen(resource)) entityLists.set(resource, Object.freeze(entities))
  return entities
}

/** Of resources that do not change any more. */
const entityLists = new WeakMap<Resource, readonly Entity[]>()
