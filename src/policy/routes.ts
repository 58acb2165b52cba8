import type { Db } from '../kernel/db.ts'
import { validated } from '../kernel/http/validate.ts'
import { installation, route, type Caller, type Resource, type Route } from '../kernel/http/route.ts'
import type { Actor } from '../ledger/ledger.ts'
import type { AskedQuestion } from './authzen/asked.ts'
import { evaluate, evaluateBatch } from './authzen/evaluate.ts'
import { plainQuestion } from './authzen/plain.ts'
import { searchActions, searchResources, searchSubjects, type SearchNeeds } from './authzen/search.ts'
import { vocabularyOf } from './authzen/vocabulary.ts'
import * as contract from './contract.ts'
import { changes, report, sync, type DeciderNeeds } from './decider/serve.ts'
import { explainLive } from './tools/explain-live.ts'
import { simulate } from './tools/simulate.ts'

export type PolicyRouteNeeds = SearchNeeds &
  DeciderNeeds & {
    readonly db: Db
    /** Names of the machines and workloads that are registered as enforcement points. */
    readonly enforcementPoints: ReadonlySet<string>
    /** Of them, those that decide in their own process. */
    readonly deciders: ReadonlySet<string>
  }

/** What the API offers of decisions. */
export function policyRoutes(needs: PolicyRouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.evaluateDecision, {
      resource: ({ caller, input }) => questionResource(needs, caller, [input]),
      run: ({ caller, input }) => evaluate(db, needs, actorOf(caller), input),
      quick: { plain: plainQuestion },
    }),
    route(contract.evaluateDecisions, {
      resource: async ({ caller, input }) => questionResource(needs, caller, [input, ...(input.evaluations ?? [])]),
      run: async ({ caller, input }) => {
        const { subject, action, resource, context, evaluations = [] } = input
        if (evaluations.length > 0) return evaluateBatch(db, needs, actorOf(caller), input)
        // §7.1: without a list it is the question of §6, and as whole as that has to be.
        const single: AskedQuestion = validated(
          contract.evaluateDecision.input,
          { subject, action, resource, context },
          'body',
        )
        return evaluate(db, needs, actorOf(caller), single)
      },
    }),
    route(contract.searchSubjects, {
      resource: async ({ caller, input }) => questionResource(needs, caller, [input]),
      run: ({ caller, input }) => searchSubjects(db, needs, actorOf(caller), input),
    }),
    route(contract.searchResources, {
      resource: async ({ caller, input }) => questionResource(needs, caller, [input]),
      run: ({ caller, input }) => searchResources(db, needs, actorOf(caller), input),
    }),
    route(contract.searchActions, {
      resource: async ({ caller, input }) => questionResource(needs, caller, [input]),
      run: ({ caller, input }) => searchActions(db, needs, actorOf(caller), input),
    }),
    route(contract.syncDecisions, {
      resource: async ({ caller, input }) => elsewhere(needs, caller, input.items.map(questionOfItem)),
      run: ({ input }) => sync(db, needs, input),
    }),
    route(contract.streamDecisionChanges, {
      resource: async ({ caller }) => elsewhere(needs, caller, []),
      run: async ({ query, signal }) => changes(needs, query.seconds, signal),
    }),
    route(contract.reportDecisions, {
      resource: async ({ caller, input }) =>
        elsewhere(
          needs,
          caller,
          input.entries.map(({ question }) => question),
        ),
      run: ({ caller, input }) => report(db, needs, actorOf(caller), input.entries),
    }),
    route(contract.explainPolicy, {
      resource: async ({ caller, input }) => questionResource(needs, caller, [input]),
      run: ({ caller, input }) => explainLive(db, needs, actorOf(caller), input),
    }),
    route(contract.simulatePolicy, {
      resource: async () => installation('PolicySet'),
      run: ({ caller, input }) => simulate(db, needs, actorOf(caller), input),
    }),
  ]
}

function actorOf({ id, kind }: Caller): Actor {
  return { id, kind }
}

/** The question as policies see it: what it is about, in their own words, and whether its asker is one of those who ask for others. */
export function questionResource(
  { engine, enforcementPoints }: Pick<PolicyRouteNeeds, 'engine' | 'enforcementPoints'>,
  { name, kind }: Caller,
  asked: readonly Readonly<Record<string, unknown>>[],
): Resource {
  const vocabulary = vocabularyOf(engine.current().set)
  const words = (role: string, member: string) => {
    const found = asked.map((each) => memberOf(each[role], member)).filter((word) => word !== undefined)
    return found.length === 1 ? found : [...new Set(found)].sort()
  }
  const types = (role: string) => words(role, 'type').map((word) => vocabulary.typeOf(word) ?? word)
  return questionOf({
    subjectTypes: types('subject'),
    resourceTypes: types('resource'),
    actions: words('action', 'name').map((word) => vocabulary.actionOf(word) ?? word),
    registered: (kind === 'workload' || kind === 'machine') && enforcementPoints.has(name),
  })
}

type About = {
  readonly subjectTypes: readonly string[]
  readonly resourceTypes: readonly string[]
  readonly actions: readonly string[]
  readonly registered: boolean
}

/** Enforcement points ask about the same few things again and again; a question about anything else is made each time. */
const questions = new Map<string, Resource>()
const MOST_QUESTIONS = 1000
const LONGEST_KEPT = 300

function questionOf(about: About): Resource {
  const key = JSON.stringify([about.subjectTypes, about.resourceTypes, about.actions, about.registered])
  const known = questions.get(key)
  if (known) return known
  const id = 'installation'
  const made: Resource = Object.freeze({ type: 'Question', id, attributes: Object.freeze({ id, ...about }) })
  if (questions.size < MOST_QUESTIONS && key.length <= LONGEST_KEPT) questions.set(key, made)
  return made
}

/** Deciding elsewhere takes the policies along, so it is for those alone that are named for it. */
function elsewhere(
  needs: PolicyRouteNeeds,
  caller: Caller,
  asked: readonly Readonly<Record<string, unknown>>[],
): Resource {
  return questionResource({ ...needs, enforcementPoints: needs.deciders }, caller, asked)
}

function questionOfItem(item: contract.FactItem): Readonly<Record<string, unknown>> {
  if (item.role === 'subject') return { subject: item }
  if (item.role === 'resource') return { resource: item }
  return item.role === 'action' ? { action: { name: item.id } } : {}
}

function memberOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const member: unknown = Object.getOwnPropertyDescriptor(value, name)?.value
  return typeof member === 'string' ? member : undefined
}
