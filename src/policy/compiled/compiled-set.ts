import type { Environment } from './environment.ts'
import { readRecord, wellFormed, type DataForm } from './data-reader.ts'
import { EntityStore, type GivenEntity } from './entity-store.ts'
import { DataFault, EvaluationFault, NotCompiled } from './fault.ts'
import type { Setting } from './expression.ts'
import { isObject } from './json-form.ts'
import { conditionsOf, readPolicy, type CompiledPolicy, type ParsedPolicy } from './policy.ts'
import type { SchemaTypes } from './schema-types.ts'
import { fits, ScopeIndex } from './scope-index.ts'
import type { EntityNode } from './value.ts'

type Ref = { readonly type: string; readonly id: string }

/** A question with full names of types. */
export type Query = {
  readonly principal: Ref
  readonly action: Ref
  readonly resource: Ref
  readonly context: unknown
}

/** What the language answers. Policies are named in the order of the set. */
export type Verdict = {
  readonly decision: boolean
  readonly determining: readonly string[]
  readonly errors: readonly { readonly policy: string; readonly message: string }[]
}

/** A set of policies as code, found by scope. Immutable once its last policy is in; evaluating waits for nothing. */
export class CompiledSet {
  readonly schema: SchemaTypes
  readonly #index = new ScopeIndex()
  /** Compiled terms of conditions, shared by policies that have them. */
  readonly #terms: Setting['terms'] = new Map()
  #count = 0

  constructor(schema: SchemaTypes) {
    this.schema = schema
  }

  /** Throws `NotCompiled` when not even the scope is understood: then the whole set is the reference engine's. */
  add(policy: ParsedPolicy): void {
    this.#index.add(readPolicy(policy, this.#count))
    this.#count += 1
  }

  /** Builds what questions about the actions need, in short steps; otherwise the first question about each does. */
  *prepare(): Generator<undefined> {
    for (const actions of this.schema.actions.values()) {
      for (const { node } of actions.values()) yield* this.#index.prepare(node)
    }
  }

  /** Throws a `DataFault` when the entities don't fit the schema. */
  store(form: DataForm, entities: readonly GivenEntity[]): EntityStore {
    return new EntityStore(this.schema, form, entities)
  }

  /**
   * Evaluates one question. Throws a `DataFault` when it does not fit the schema, `NotCompiled` when it is the reference engine's to answer.
   */
  authorize(store: EntityStore, query: Query): Verdict {
    if (store.schema !== this.schema) throw new DataFault('the entities were checked against another schema')
    const env = environmentOf(store, query)
    const { permits, forbids, errors } = this.#evaluate(env)
    if (forbids.length > 0) return { decision: false, determining: inOrder(forbids), errors }
    return { decision: permits.length > 0, determining: inOrder(permits), errors }
  }

  #evaluate(env: Environment) {
    const permits: CompiledPolicy[] = []
    const forbids: CompiledPolicy[] = []
    const errors: { policy: string; message: string }[] = []
    const { principal, resource } = env
    for (const list of this.#index.find(principal, env.action, resource)) {
      for (const policy of list) {
        if (!fits(policy, principal, resource)) continue
        const holds = conditionsOf(policy, this.#terms)
        if (holds === null) throw new NotCompiled(`The policy ${policy.id} is the reference engine's to evaluate.`)
        try {
          if (holds(env)) (policy.permits ? permits : forbids).push(policy)
        } catch (error) {
          if (!(error instanceof EvaluationFault)) throw error
          errors.push({ policy: policy.id, message: error.message })
        }
      }
    }
    return { permits, forbids, errors }
  }
}

function inOrder(policies: CompiledPolicy[]): readonly string[] {
  if (policies.length > 1) policies.sort((a, b) => a.place - b.place)
  return policies.map(({ id }) => id)
}

/** Checks a question against the schema, as the reference engine validates requests. */
function environmentOf(store: EntityStore, { principal, action, resource, context }: Query): Environment {
  const { schema } = store
  const asked = schema.action(action.type, action.id)
  if (!asked) throw new DataFault('the action is not declared')
  if (!asked.principals.has(principal.type)) throw new DataFault(`${principal.type} can't do this action`)
  if (!asked.resources.has(resource.type)) throw new DataFault(`this action is not done on ${resource.type}`)
  if (!isObject(context)) throw new DataFault('the context is not a record')
  return {
    principal: subject(store, principal),
    action: asked.node,
    resource: subject(store, resource),
    context: readRecord(store.reading, asked.context, context),
    entities: store,
  }
}

function subject(store: EntityStore, { type, id }: Ref): EntityNode {
  const known = store.find(type, id)
  if (known) return known
  if (!store.schema.allows(type, wellFormed(id))) throw new DataFault(`there is no such ${type}`)
  return store.reference(type, id)
}
