import { types } from 'node:util'
import {
  preparsePolicySet,
  preparseSchema,
  statefulIsAuthorized,
  type CedarValueJson,
  type CheckParseAnswer,
  type EntityJson,
} from '@cedar-policy/cedar-wasm/nodejs'
import type { EntityRef } from '../kernel/permit.ts'
import { linked, type Entity, type PolicyValue } from './entity.ts'
import { policyTexts, type Policy, type PolicySet } from './policy-set.ts'
import { NAMESPACE } from './schema.ts'

/** One question to the policies about one principal. The caller slices: principal, resource and what they lead to. */
export type EvaluationRequest = {
  readonly principal: EntityRef
  readonly action: string
  readonly resource: EntityRef
  readonly context: Readonly<Record<string, PolicyValue>>
  readonly entities: readonly Entity[]
}

type EvaluationError = {
  /** Null when the question itself could not be evaluated. */
  readonly policy: string | null
  readonly message: string
}

/** What the language says, errors included; `decide()` is stricter than this (core 2). */
export type Evaluation = {
  readonly decision: boolean
  /** The permits of a permit, the forbids of a deny; none for a deny by default. */
  readonly determining: readonly Policy[]
  readonly errors: readonly EvaluationError[]
}

/** What evaluates one version of the policies. Another implementation must give the same evaluations, errors included. */
export type Engine = Disposable & {
  readonly set: PolicySet
  /** Never throws: a question it can't evaluate is a deny with an error. */
  evaluate(request: EvaluationRequest): Evaluation
}

/**
 * Names of parsed sets inside the reference engine. It keeps what it has parsed for ever and can only overwrite, so
 * names are reused. Per thread, as is the engine's own cache.
 */
const freeNames: string[] = []
let namesMade = 0

/** Messages of the engine repeat parts of the question; this much of one is enough to act on. */
const MAX_MESSAGE = 500

/** Opens the reference engine on a set: parsed once here, then only asked. Dispose it after the last question. */
export function openCedarEngine(set: PolicySet): Engine {
  const name = freeNames.pop() ?? `reeve-${(namesMade += 1)}`
  mustParse(preparseSchema(name, set.schema.json))
  mustParse(preparsePolicySet(name, { staticPolicies: policyTexts(set.policies) }))
  let open = true
  return {
    set,
    evaluate: (request) => (open ? ask(name, set, request) : failed('This version of the policies has been put away.')),
    [Symbol.dispose]: () => {
      if (!open) return
      open = false
      mustParse(preparsePolicySet(name, { staticPolicies: {} }))
      freeNames.push(name)
    },
  }
}

function mustParse(answer: CheckParseAnswer): void {
  if (answer.type === 'success') return
  throw new Error(`An accepted policy set was refused by the engine: ${answer.errors.map((e) => e.message).join('; ')}`)
}

function failed(message: string): Evaluation {
  return { decision: false, determining: [], errors: [{ policy: null, message: message.slice(0, MAX_MESSAGE) }] }
}

function ask(name: string, set: PolicySet, request: EvaluationRequest): Evaluation {
  try {
    const answer = statefulIsAuthorized({
      principal: uid(request.principal),
      action: { type: `${NAMESPACE}::Action`, id: request.action },
      resource: uid(request.resource),
      context: toCedarRecord(request.context, 0),
      preparsedSchemaName: name,
      preparsedPolicySetId: name,
      validateRequest: true,
      entities: request.entities.map(toCedarEntity),
    })
    if (answer.type === 'failure') return failed(answer.errors.map((error) => error.message).join('; '))
    const { decision, diagnostics } = answer.response
    const determining = diagnostics.reason.flatMap((id) => set.policies.get(id) ?? [])
    // A permit whose policy we can't find has obligations we don't know.
    if (determining.length !== diagnostics.reason.length) return failed('A policy that decided is not of this version.')
    return {
      decision: decision === 'allow',
      determining,
      errors: diagnostics.errors.map(({ policyId, error }) => ({
        policy: policyId,
        message: error.message.slice(0, MAX_MESSAGE),
      })),
    }
  } catch (error) {
    return failed(error instanceof PolicyDataError ? error.message : 'The question could not be put to the engine.')
  }
}

/** Data that has no form in the policy language. */
class PolicyDataError extends Error {}

/** Deeper records than this are not data of ours. */
export const MAX_VALUE_DEPTH = 8

function uid({ type, id }: EntityRef): { type: string; id: string } {
  if (typeof id !== 'string' || !/^[A-Z][A-Za-z0-9]*$/.test(type)) throw new PolicyDataError('An entity has no name.')
  return { type: `${NAMESPACE}::${type}`, id }
}

function toCedarEntity({ type, id, attributes, parents = [] }: Entity): EntityJson {
  return { uid: uid({ type, id }), attrs: toCedarRecord(attributes, 0), parents: parents.map(uid) }
}

function toCedarRecord(record: Readonly<Record<string, PolicyValue>>, depth: number): Record<string, CedarValueJson> {
  const entries: [string, CedarValueJson][] = []
  for (const [key, value] of Object.entries(record)) {
    // `__entity` and `__extn` are how JSON spells references and extensions: from data they would be forged ones.
    if (key.startsWith('__')) throw new PolicyDataError('A name in the data is reserved.')
    if (value !== undefined) entries.push([key, toCedarValue(value, depth + 1)])
  }
  return Object.fromEntries(entries)
}

function toCedarValue(value: PolicyValue, depth: number): CedarValueJson {
  if (depth > MAX_VALUE_DEPTH) throw new PolicyDataError('The data is nested too deeply.')
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value
    throw new PolicyDataError('A number in the data is not whole.')
  }
  if (typeof value !== 'object' || value === null) throw new PolicyDataError('The data holds something unknown.')
  if (types.isDate(value)) return toCedarInstant(value)
  const link = linked(value)
  if (link) return { __entity: uid(link) }
  if (isList(value)) return value.map((each) => toCedarValue(each, depth + 1))
  return toCedarRecord({ ...value }, depth)
}

function toCedarInstant(date: Date): CedarValueJson {
  const ms = date.getTime()
  if (Number.isNaN(ms)) throw new PolicyDataError('An instant in the data is not valid.')
  return { __extn: { fn: 'datetime', arg: date.toISOString() } }
}

function isList(value: object): value is readonly PolicyValue[] {
  return Array.isArray(value)
}
