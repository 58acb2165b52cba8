import { nextTurn } from '../../kernel/timer.ts'
import type { Entity } from '../entity.ts'
import { MAX_VALUE_DEPTH, openCedarEngine, type Engine, type Evaluation, type EvaluationRequest } from '../evaluate.ts'
import type { Policy, PolicySet } from '../policy-set.ts'
import { NAMESPACE, type PolicySchema } from '../schema.ts'
import { CompiledSet } from './compiled-set.ts'
import type { DataType } from './data-type.ts'
import type { EntityStore } from './entity-store.ts'
import { DataFault, NotCompiled } from './fault.ts'
import { given, reeveData, ref } from './reeve-data.ts'
import { readSchema, type SchemaTypes } from './schema-types.ts'

/** Entities that were checked once and may be asked about often; made by the engine that is asked. */
type PreparedEntities = {
  readonly entities: readonly Entity[]
  /** Absent when they are not what the schema says, or the reference engine's to read. */
  readonly store?: EntityStore
  readonly fault?: string
}

/** The compiled engine: the language as code, with the reference engine behind it for what is not compiled. */
export type CompiledEngine = Engine & {
  /** For who asks often about the same entities. They must not change afterwards. */
  prepare(entities: readonly Entity[]): PreparedEntities
  /** As `evaluate`, about entities that are prepared. Never throws either. */
  evaluateIn(prepared: PreparedEntities, question: Omit<EvaluationRequest, 'entities'>): Evaluation
  /** How many questions the reference engine had to answer. */
  fallbacks(): number
}

/** So many policies are filed between two turns of the event loop: some microseconds each. */
const POLICIES_PER_TURN = 32

/** Answers repeat parts of the question; this much of a message is enough to act on. */
const MAX_MESSAGE = 500

/**
 * Files the policies of a set, a few at a time so that the process goes on meanwhile; each is compiled by its first question. `onFallback` is called for each question that the
 * reference engine answers. Dispose it after the last question.
 */
export async function openCompiledEngine(set: PolicySet, onFallback = () => {}): Promise<CompiledEngine> {
  return engineOf(set, await fileAll(set), onFallback)
}

/** Data that Reeve does not hand to the reference engine, such as reserved names: a schema that asks for them is that engine's to judge. */
function checkReach({ entities, actions }: SchemaTypes): void {
  for (const { attributes, tags } of entities.values()) {
    checkType(attributes, 0)
    if (tags) checkType(tags, 1)
  }
  for (const ofType of actions.values()) for (const { context } of ofType.values()) checkType(context, 0)
}

function checkType(type: DataType, depth: number): void {
  if (depth > MAX_VALUE_DEPTH) throw new NotCompiled('Types nested deeper than data may be.')
  if (type.kind === 'set') checkType(type.element, depth + 1)
  if (type.kind !== 'record') return
  if (type.shape.names.some((name) => name.startsWith('__'))) throw new NotCompiled('Reserved names.')
  for (const attribute of type.attributes) checkType(attribute.type, depth + 1)
}

/** Schemas outlive sets of policies, and reading a large one takes tens of milliseconds. */
const typesBySchema = new WeakMap<PolicySchema, SchemaTypes>()

function typesOf(schema: PolicySchema): SchemaTypes {
  const known = typesBySchema.get(schema)
  if (known) return known
  const types = readSchema(schema.json)
  checkReach(types)
  typesBySchema.set(schema, types)
  return types
}

/** The set by its scopes, or null when nothing of it can be compiled. */
async function fileAll(set: PolicySet): Promise<CompiledSet | null> {
  try {
    const compiled = new CompiledSet(typesOf(set.schema))
    let inTurn = 0
    for (const { id, json, text } of set.policies.values()) {
      compiled.add({ id, json, text })
      inTurn = (inTurn + 1) % POLICIES_PER_TURN
      if (inTurn === 0) await nextTurn()
    }
    for (const _step of compiled.prepare()) await nextTurn()
    return compiled
  } catch (error) {
    if (error instanceof NotCompiled) return null
    throw error
  }
}

function engineOf(set: PolicySet, compiled: CompiledSet | null, onFallback: () => void): CompiledEngine {
  const reference = referenceOf(set)
  let open = true
  let fallbacks = 0
  const fallBack = (request: EvaluationRequest): Evaluation => {
    fallbacks += 1
    onFallback()
    return reference.get().evaluate(request)
  }
  const known = new WeakMap<readonly Entity[], PreparedEntities>()
  const engine: CompiledEngine = {
    set,
    prepare: (entities) => prepare(compiled, entities),
    evaluate(request) {
      const { entities } = request
      const prepared = known.get(entities) ?? engine.prepare(entities)
      // A list that is frozen is asked about again, and is the same then.
      if (Object.isFrozen(entities)) known.set(entities, prepared)
      return engine.evaluateIn(prepared, request)
    },
    evaluateIn(prepared, question) {
      if (!open) return failed('This version of the policies has been put away.')
      if (prepared.fault !== undefined) return failed(prepared.fault)
      const found = compiled && prepared.store && ask(compiled, prepared.store, set, question)
      return found ?? fallBack({ ...question, entities: prepared.entities })
    },
    fallbacks: () => fallbacks,
    [Symbol.dispose]: () => {
      open = false
      reference[Symbol.dispose]()
    },
  }
  return engine
}

/** The reference engine on the same set. Opening it parses every policy at once (0.4 ms each), so the first question that needs it does. */
function referenceOf(set: PolicySet): Disposable & { get(): Engine } {
  let engine: Engine | undefined
  return {
    get: () => (engine ??= openCedarEngine(set)),
    [Symbol.dispose]: () => engine?.[Symbol.dispose](),
  }
}

function prepare(compiled: CompiledSet | null, entities: readonly Entity[]): PreparedEntities {
  if (!compiled) return { entities }
  try {
    return { entities, store: compiled.store(reeveData, entities.map(given)) }
  } catch (error) {
    return isLeftToReference(error) ? { entities } : { entities, fault: faultOf(error) }
  }
}

const ACTION_TYPE = `${NAMESPACE}::Action`

/** The answer, or null when it is the reference engine's to give. */
function ask(
  compiled: CompiledSet,
  store: EntityStore,
  set: PolicySet,
  { principal, action, resource, context }: Omit<EvaluationRequest, 'entities'>,
): Evaluation | null {
  try {
    const query = {
      principal: ref(principal),
      action: { type: ACTION_TYPE, id: action },
      resource: ref(resource),
      context,
    }
    const { decision, determining, errors } = compiled.authorize(store, query)
    return { decision, determining: determining.map((id) => policyOf(set, id)), errors }
  } catch (error) {
    return isLeftToReference(error) ? null : failed(faultOf(error))
  }
}

function policyOf(set: PolicySet, id: string): Policy {
  const policy = set.policies.get(id)
  // A permit whose policy we can't find has obligations we don't know.
  if (!policy) throw new DataFault('A policy that decided is not of this version.')
  return policy
}

/** What this engine does not know, and what is nested deeper than its stack. */
function isLeftToReference(error: unknown): boolean {
  return error instanceof NotCompiled || error instanceof RangeError
}

function faultOf(error: unknown): string {
  return error instanceof DataFault
    ? `The question does not fit the schema: ${error.message}.`
    : 'The question could not be read.'
}

function failed(message: string): Evaluation {
  return { decision: false, determining: [], errors: [{ policy: null, message: message.slice(0, MAX_MESSAGE) }] }
}
