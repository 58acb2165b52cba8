/** The compiled engine beside the reference engine, on generated worlds of a schema, policies, entities and requests. */
import {
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  statefulIsAuthorized,
  templateToJson,
  type EntityJson,
  type SchemaJson,
} from '@cedar-policy/cedar-wasm/nodejs'
import { CompiledSet } from '../../../src/policy/compiled/compiled-set.ts'
import type { EntityStore } from '../../../src/policy/compiled/entity-store.ts'
import { DataFault, NotCompiled } from '../../../src/policy/compiled/fault.ts'
import { jsonData } from '../../../src/policy/compiled/json-data.ts'
import { readSchema } from '../../../src/policy/compiled/schema-types.ts'
import { EntityNode } from '../../../src/policy/compiled/value.ts'
import type { Choices } from './choices.ts'
import { entitiesOf, requestOf, type GeneratedRequest } from './data.ts'
import { policiesOf, type GeneratedPolicy } from './policies.ts'
import { schemaOf } from './schemas.ts'

/** What happened in so many worlds. A difference is a sentence that says all there is to repeat it. */
export type Tally = {
  requests: number
  allowed: number
  /** Requests in which some policy erred. */
  erred: number
  /** Requests that did not fit the schema. */
  refused: number
  fellBack: number
  policies: number
  readonly differences: string[]
}

export function newTally(): Tally {
  return { requests: 0, allowed: 0, erred: 0, refused: 0, fellBack: 0, policies: 0, differences: [] }
}

export type Sizes = { readonly policies: number; readonly stores: number; readonly requests: number }

/** An answer as it is compared: texts of messages may differ, nothing else. */
type Answer =
  | { readonly kind: 'refused' }
  | { readonly kind: 'left to the reference' }
  | { readonly kind: 'answered'; readonly decision: boolean; readonly reasons: string[]; readonly errors: string[] }

/** One world: asks every request of both engines. */
export function compareWorld(choices: Choices, sizes: Sizes, tally: Tally): void {
  const schema = schemaOf(choices)
  const policies = policiesOf(choices, schema, sizes.policies)
  const json: SchemaJson<string> = JSON.parse(JSON.stringify(schema.json))
  mustParse(preparseSchema('differential', json))
  const kept = policies.filter(
    ({ text, links }) => (links ? templateToJson(text) : policyToJson(text)).type === 'success',
  )
  mustParse(preparsePolicySet('differential', referenceSet(kept)))
  tally.policies += kept.length
  const compiled = compiledSet(json, kept)
  for (let store = 0; store < sizes.stores; store += 1) {
    const entities = entitiesOf(choices, schema)
    const prepared = storeOf(compiled, entities)
    for (let request = 0; request < sizes.requests; request += 1) {
      const asked = requestOf(choices, schema)
      const theirs = askReference(asked, entities)
      const ours = askCompiled(compiled, prepared, asked)
      count(tally, ours)
      if (ours.kind === 'left to the reference' || JSON.stringify(ours) === JSON.stringify(theirs)) continue
      const told = { ours, theirs, schema: json, policies: kept, entities, request: asked }
      tally.differences.push(JSON.stringify(told))
    }
  }
}

function count(tally: Tally, answer: Answer): void {
  tally.requests += 1
  if (answer.kind === 'refused') tally.refused += 1
  else if (answer.kind === 'left to the reference') tally.fellBack += 1
  else {
    if (answer.decision) tally.allowed += 1
    if (answer.errors.length > 0) tally.erred += 1
  }
}

function referenceSet(policies: readonly GeneratedPolicy[]) {
  const staticPolicies: Record<string, string> = {}
  const templates: Record<string, string> = {}
  const templateLinks: { templateId: string; newId: string; values: Record<string, { type: string; id: string }> }[] =
    []
  for (const { id, text, links } of policies) {
    if (!links) staticPolicies[id] = text
    else {
      templates[`t-${id}`] = text
      templateLinks.push({ templateId: `t-${id}`, newId: id, values: { ...links } })
    }
  }
  return { staticPolicies, templates, templateLinks }
}

function compiledSet(schema: unknown, policies: readonly GeneratedPolicy[]): CompiledSet {
  const compiled = new CompiledSet(readSchema(schema))
  for (const { id, text, links } of policies) {
    const parsed = links ? templateToJson(text) : policyToJson(text)
    if (parsed.type === 'failure') throw new Error('A policy that was parsed before is not parsed now.')
    const slots = new Map(
      Object.entries(links ?? {}).map(([slot, uid]) => [slot, new EntityNode(uid.type, uid.id, true)]),
    )
    compiled.add({ id, json: parsed.json, text, slots })
  }
  return compiled
}

type Prepared = EntityStore | 'refused' | 'left to the reference'

function storeOf(compiled: CompiledSet, entities: readonly EntityJson[]): Prepared {
  try {
    const given = entities.map(({ uid, attrs, parents, tags }) => ({
      ...refOf(uid),
      attributes: attrs,
      parents: parents.map(refOf),
      ...(tags && { tags }),
    }))
    return compiled.store(jsonData, given)
  } catch (error) {
    return outcomeOf(error)
  }
}

function refOf(uid: EntityJson['uid']): { type: string; id: string } {
  return '__entity' in uid ? uid.__entity : uid
}

function outcomeOf(error: unknown): 'refused' | 'left to the reference' {
  if (error instanceof DataFault) return 'refused'
  if (error instanceof NotCompiled) return 'left to the reference'
  throw error
}

function askCompiled(compiled: CompiledSet, prepared: Prepared, request: GeneratedRequest): Answer {
  if (typeof prepared === 'string') return { kind: prepared }
  try {
    const { decision, determining, errors } = compiled.authorize(prepared, request)
    return {
      kind: 'answered',
      decision,
      reasons: [...determining].sort(),
      errors: errors.map(({ policy }) => policy).sort(),
    }
  } catch (error) {
    return { kind: outcomeOf(error) }
  }
}

function askReference(request: GeneratedRequest, entities: EntityJson[]): Answer {
  const answer = statefulIsAuthorized({
    ...request,
    preparsedSchemaName: 'differential',
    preparsedPolicySetId: 'differential',
    validateRequest: true,
    entities,
  })
  if (answer.type === 'failure') return { kind: 'refused' }
  const { decision, diagnostics } = answer.response
  return {
    kind: 'answered',
    decision: decision === 'allow',
    reasons: diagnostics.reason.sort(),
    errors: diagnostics.errors.map(({ policyId }) => policyId).sort(),
  }
}

function mustParse(answer: { type: string; errors?: { message: string }[] }): void {
  if (answer.type !== 'success') throw new Error(answer.errors?.map(({ message }) => message).join('; '))
}
