import { isCovered } from '../../catalog/catalog.ts'
import type { ActionEntry } from '../../catalog/contract.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import { both, soon, type Soon } from '../../kernel/soon.ts'
import { decide, type Decision, type Question } from '../decide.ts'
import type { Entity, PolicyValue } from '../entity.ts'
import { floorFrom } from '../floor.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { Obligations } from '../obligations.ts'
import type { PolicySet } from '../policy-set.ts'
import { recordFactsFor, type RecordFacts } from '../record-facts.ts'
import { joined } from '../slices.ts'
import { contextAttributes, fitted, fittedAttributes, type Attributes } from '../typing.ts'
import type { AskedQuestion } from './asked.ts'
import { openFacts, type FactNeeds, type Facts, type Found } from './facts.ts'
import { vocabularyOf } from './vocabulary.ts'

/** What is in force at a place: the calendar's word, given by the composition root. */
type Situation = (
  place: { readonly target: string; readonly environment: string },
  now: Date,
) => { readonly freeze: boolean; readonly window?: { readonly id: string; readonly open: boolean } }

export type QuestionNeeds = Omit<FactNeeds, 'vocabulary'> & {
  readonly clock: Clock
  readonly random: Random
  readonly situation: Situation
}

/** A question with everything it refers to, ready to be decided by any version of the policies. */
export type Prepared = {
  readonly question: Question
  readonly entities: readonly Entity[]
  readonly floor: Obligations | undefined
  readonly subject: Found
  readonly onBehalfOf: readonly Found[]
  readonly resource: Found
  readonly reasonGiven: boolean
  readonly ticket: string | null
}

/** A question that cannot be put to the policies is a deny; why, in a sentence that quotes nothing of it. */
export type Unanswerable = { readonly unanswerable: string }

/** What Reeve says itself. An enforcement point that claims it is not heard. */
const OURS = new Set([
  'now',
  'onBehalfOf',
  'channel',
  'requestKind',
  'freeze',
  'bootstrap',
  'window',
  'purpose',
  'reasonGiven',
  'action',
  'risk',
  'signals',
  'standard',
])

const UNASSESSED = { score: 100, low: 0, high: 100, factors: ['unassessed'] }

/** Facts for the questions of one call, by the words of the version that is asked. */
export function factsFor(db: Db, needs: Omit<FactNeeds, 'vocabulary'>, set: PolicySet): Facts {
  return openFacts(db, { ...needs, vocabulary: vocabularyOf(set) }, set.schema)
}

/** Loads what a question refers to. `facts` is shared by the questions of one call. */
export function prepare(
  db: Db,
  needs: QuestionNeeds,
  facts: Facts,
  set: PolicySet,
  asked: AskedQuestion,
): Soon<Prepared | Unanswerable> {
  return prepareFrom(sourcesOf(db, needs, facts, set), set, asked)
}

/** Where the facts of a question come from: the record itself, or what somebody was sent of it. */
export type Sources = {
  readonly facts: Facts
  /** What policies see of a purpose that is named; undefined where there is none. */
  readonly purpose: (name: string, targetId: string | undefined, action: string) => Soon<PolicyValue | undefined>
  readonly floor: (action: string) => Soon<Obligations | undefined>
  readonly situation: (place: Parameters<Situation>[0]) => Soon<ReturnType<Situation>>
}

export function sourcesOf(db: Db, needs: QuestionNeeds, facts: Facts, set: PolicySet): Sources {
  const record = recordFactsFor(db, needs.record)
  return {
    facts,
    purpose: (name, targetId, action) => purposeOf(record, needs, { name, targetId, action }),
    floor: (action) => floorOf(record, set, action),
    situation: (place) => needs.situation(place, needs.clock.now()),
  }
}

/** As `prepare`, wherever the facts come from. */
export function prepareFrom(sources: Sources, set: PolicySet, asked: AskedQuestion): Soon<Prepared | Unanswerable> {
  const { facts } = sources
  const name = vocabularyOf(set).actionOf(asked.action.name)
  if (name === undefined) return { unanswerable: 'The action is not known here.' }
  return both(
    facts.subject(asked.subject),
    () => facts.resource(asked.resource),
    (subject, resource) => {
      if ('unfound' in subject) return { unanswerable: subject.unfound }
      if ('unfound' in resource) return { unanswerable: resource.unfound }
      return soon(chainOf(facts, asked.context?.['on_behalf_of']), (chain) =>
        'unanswerable' in chain ? chain : prepareWith(sources, set, { asked, name, subject, chain, resource }),
      )
    },
  )
}

type Parties = {
  readonly asked: AskedQuestion
  readonly name: string
  readonly subject: Found
  readonly chain: Chain
  readonly resource: Found
}

/** Everybody in it is known: what holds around them. */
function prepareWith(sources: Sources, set: PolicySet, parties: Parties): Soon<Prepared> {
  const { asked, name, subject, chain, resource } = parties
  const { reason, ticket } = asked.context ?? NOTHING
  const reasonGiven = typeof reason === 'string' && reason.trim().length >= 3
  const around = contextOf(sources, { set, asked, name, resource, reasonGiven })
  return both(
    around,
    () => sources.floor(name),
    (context, floor) => ({
      question: { subject: subject.ref, onBehalfOf: chain.refs, action: { name }, resource: resource.ref, context },
      entities: joined([subject.entities, ...chain.links.map((link) => link.entities), resource.entities]),
      floor,
      subject,
      onBehalfOf: chain.links,
      resource,
      reasonGiven,
      ticket: typeof ticket === 'string' ? ticket : null,
    }),
  )
}

const NOTHING: Readonly<Record<string, unknown>> = Object.freeze({})

/**
 * The decision of the version that decides at this very moment: another may have taken over while the facts were loaded, and the one of before
 * answers nobody any more. Never throws.
 */
export function decidePrepared(
  needs: Pick<QuestionNeeds, 'clock' | 'random'> & { readonly engine: LiveEngine },
  prepared: Prepared,
): Decision {
  const engine = needs.engine.current()
  const { question, entities, floor } = prepared
  return decide(engine, question, {
    decisionId: newId(needs.clock, needs.random),
    now: needs.clock.now(),
    epoch: engine.set.sha256,
    entities,
    ...(floor && { floor }),
  })
}

/** What the catalog asks for a privileged action whatever the policies say. */
export function floorOf(
  record: Pick<RecordFacts, 'action'>,
  set: PolicySet,
  name: string,
): Soon<Obligations | undefined> {
  if (!set.schema.actionGroups.get(name)?.has('privileged')) return undefined
  return soon(record.action(name), (entry) => entry && floorOfEntry(entry))
}

function floorOfEntry(entry: ActionEntry): Obligations {
  const known = floors.get(entry)
  if (known) return known
  const floor = floorFrom(entry)
  floors.set(entry, floor)
  return floor
}

/** Read once for an entry as it was loaded. */
const floors = new WeakMap<ActionEntry, Obligations>()

/** A delegation that is claimed counts or the question falls: leaving it out would ask for more than was meant. */
function chainOf(facts: Facts, claimed: unknown): Soon<Chain | Unanswerable> {
  if (claimed === undefined || claimed === null) return ALONE
  const isNamed =
    typeof claimed === 'object' &&
    'type' in claimed &&
    'id' in claimed &&
    typeof claimed.type === 'string' &&
    typeof claimed.id === 'string'
  if (!isNamed) return { unanswerable: 'Who the subject acts for is not named by type and id.' }
  return soon(facts.subject({ type: String(claimed.type), id: String(claimed.id) }), (link) =>
    'unfound' in link
      ? { unanswerable: 'Who the subject acts for is not known here.' }
      : { links: [link], refs: [link.ref] },
  )
}

type Chain = { readonly links: readonly Found[]; readonly refs: readonly Found['ref'][] }

/** Who acts for nobody else. */
const ALONE: Chain = { links: [], refs: [] }

type Situated = {
  readonly set: PolicySet
  readonly asked: AskedQuestion
  readonly name: string
  readonly resource: Found
  readonly reasonGiven: boolean
}

function contextOf(sources: Sources, situated: Situated): Soon<Record<string, PolicyValue>> {
  const { asked, name, resource } = situated
  const named = asked.context?.['purpose']
  const purpose = typeof named === 'string' ? sources.purpose(named, resource.targetId, name) : undefined
  const situation = () => (resource.place ? sources.situation(resource.place) : ORDINARY)
  return both(purpose, situation, (covering, place) =>
    soon(sources.facts.bootstrap(), (bootstrap) => contextBy(situated, { purpose: covering, ...place, bootstrap })),
  )
}

type Around = ReturnType<Situation> & { readonly purpose: PolicyValue | undefined; readonly bootstrap: boolean }

const ORDINARY: ReturnType<Situation> = { freeze: false }

function contextBy(situated: Situated, { purpose, freeze, window, bootstrap }: Around): Record<string, PolicyValue> {
  const { set, asked, reasonGiven } = situated
  const { theirs, ofAction, ofRisk } = askedOf(contextAttributes(set.schema))
  const action = ofAction && fitted(ofAction.type, asked.action.properties ?? NOTHING)
  return {
    ...fittedAttributes(theirs, asked.context ?? NOTHING),
    channel: 'authzen',
    requestKind: 'ordinary',
    freeze,
    reasonGiven,
    bootstrap,
    ...(window && { window }),
    ...(purpose && { purpose }),
    ...(action !== undefined && { action }),
    // Nobody here sees the circumstances of an act at another's door: the band is the widest, and its high end counts.
    ...(ofRisk && { risk: fitted(ofRisk.type, UNASSESSED) ?? {} }),
  }
}

type NamedPurpose = { readonly name: string; readonly targetId: string | undefined; readonly action: string }

/** A purpose is named, never described: what it covers is the record's to say. */
function purposeOf(
  record: Pick<RecordFacts, 'purpose'>,
  { clock }: Pick<QuestionNeeds, 'clock'>,
  { name, targetId, action }: NamedPurpose,
): Soon<PolicyValue | undefined> {
  return soon(record.purpose(name), (purpose) => {
    if (!purpose) return undefined
    const now = clock.now()
    const covers = targetId !== undefined && isCovered(purpose, targetId, [action], now)
    return { id: purpose.id, approved: purpose.state === 'approved' && purpose.expiresAt > now, covers }
  })
}

type AskedContext = {
  readonly theirs: Attributes
  readonly ofAction: ReturnType<Attributes['get']>
  readonly ofRisk: ReturnType<Attributes['get']>
}

/** Of what a context may hold, what is an enforcement point's to say. */
function askedOf(declared: Attributes): AskedContext {
  const known = askedContexts.get(declared)
  if (known) return known
  const theirs = new Map([...declared].filter(([name]) => !OURS.has(name)))
  const made = { theirs, ofAction: declared.get('action'), ofRisk: declared.get('risk') }
  askedContexts.set(declared, made)
  return made
}

const askedContexts = new WeakMap<Attributes, AskedContext>()
