import type { Type } from '@cedar-policy/cedar-wasm/nodejs'
import { Instant } from '../kernel/instant.ts'
import type { EntityRef } from '../kernel/permit.ts'
import { linkTo, type PolicyValue } from './entity.ts'
import { NAMESPACE, type PolicySchema } from './schema.ts'

/** What a schema says a value is, with its names resolved. A kind we have no value for is `other`. */
export type ValueType =
  | { readonly kind: 'text' | 'number' | 'truth' | 'instant' | 'other' }
  | { readonly kind: 'set'; readonly element: ValueType }
  | { readonly kind: 'record'; readonly attributes: Attributes }
  | { readonly kind: 'link'; readonly to: string }

export type Attributes = ReadonlyMap<string, { readonly type: ValueType; readonly isRequired: boolean }>

const PRIMITIVES: Readonly<Record<string, ValueType>> = {
  String: { kind: 'text' },
  Long: { kind: 'number' },
  Bool: { kind: 'truth' },
  Boolean: { kind: 'truth' },
  datetime: { kind: 'instant' },
}
const OTHER: ValueType = { kind: 'other' }

/** Common types that name each other in a circle are refused before; deeper than this nobody writes. */
const MAX_DEPTH = 8

/** What was resolved of a schema: every question asks for the same few types. */
const resolvedOf = new WeakMap<PolicySchema, Map<string, Attributes | undefined>>()

function once(schema: PolicySchema, name: string, make: () => Attributes | undefined): Attributes | undefined {
  const known = resolvedOf.get(schema) ?? new Map<string, Attributes | undefined>()
  resolvedOf.set(schema, known)
  if (known.has(name)) return known.get(name)
  const made = make()
  // Only what is declared is kept: names that are made up would fill the memory.
  if (made) known.set(name, made)
  return made
}

/** Of an entity type of the schema, what it may hold; undefined for a type that is not declared. */
export function attributesOf(schema: PolicySchema, type: string): Attributes | undefined {
  return once(schema, type, () => resolveType(schema, type))
}

function resolveType(schema: PolicySchema, type: string): Attributes | undefined {
  const types = schema.json[NAMESPACE]?.entityTypes ?? {}
  const declared = Object.hasOwn(types, type) ? types[type] : undefined
  if (!declared) return undefined
  const shape = 'shape' in declared ? declared.shape : undefined
  const resolved = shape ? resolve(schema, shape, 0) : undefined
  return resolved?.kind === 'record' ? resolved.attributes : new Map()
}

/** What the context of every question may hold. */
export function contextAttributes(schema: PolicySchema): Attributes {
  const known = contexts.get(schema) ?? readContext(schema)
  contexts.set(schema, known)
  return known
}

/** A schema does not change, and every question asks. */
const contexts = new WeakMap<PolicySchema, Attributes>()

function readContext(schema: PolicySchema): Attributes {
  const context = schema.json[NAMESPACE]?.commonTypes?.['Context']
  const resolved = context ? resolve(schema, context, 0) : undefined
  return resolved?.kind === 'record' ? resolved.attributes : new Map()
}

/** The actions that an identity of one type may ever do to a thing of another, groups left out. */
export function actionsBetween(schema: PolicySchema, principal: string, resource: string): string[] {
  return Object.entries(schema.json[NAMESPACE]?.actions ?? {})
    .filter(([, { appliesTo }]) => {
      return appliesTo?.principalTypes.includes(principal) && appliesTo.resourceTypes.includes(resource)
    })
    .map(([name]) => name)
    .sort()
}

/** Whether the schema declares it as something that can be done; a group of actions cannot. */
export function isAction(schema: PolicySchema, name: string): boolean {
  const actions = schema.json[NAMESPACE]?.actions ?? {}
  const applies = Object.hasOwn(actions, name) ? actions[name]?.appliesTo : undefined
  return applies !== undefined && applies.principalTypes.length > 0
}

/**
 * A value of JSON as the schema wants it, or undefined where it is none: text for text, whole numbers, RFC 3339 text for instants,
 * `{type, id}` or an id for a link. What a record does not declare is left out.
 */
export function fitted(type: ValueType, value: unknown): PolicyValue | undefined {
  switch (type.kind) {
    case 'text':
      return typeof value === 'string' && value.isWellFormed() ? value : undefined
    case 'truth':
      return typeof value === 'boolean' ? value : undefined
    case 'number':
      return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
    case 'instant':
      return Instant.safeParse(value).data
    case 'link':
      return linkFrom(type.to, value)
    case 'set':
      return setFrom(type.element, value)
    case 'record':
      return recordFrom(type.attributes, value)
    case 'other':
      return undefined
  }
  return type satisfies never
}

/** Of the given values those that are declared and fit; a value that is not as declared counts as not given. */
export function fittedAttributes(attributes: Attributes, values: Readonly<Record<string, unknown>>) {
  const found: Record<string, PolicyValue> = {}
  for (const [name, { type }] of attributes) {
    const value = Object.hasOwn(values, name) ? fitted(type, values[name]) : undefined
    if (value !== undefined) found[name] = value
  }
  return found
}

function resolve(schema: PolicySchema, type: Type<string>, depth: number): ValueType {
  if (depth > MAX_DEPTH) return OTHER
  if (isRecordType(type)) {
    const attributes = Object.entries(type.attributes).map(([name, { required = true, ...inner }]) => {
      return [name, { type: resolve(schema, inner, depth + 1), isRequired: required }] as const
    })
    return { kind: 'record', attributes: new Map(attributes) }
  }
  if (isSetType(type)) return { kind: 'set', element: resolve(schema, type.element, depth + 1) }
  const name = 'name' in type ? type.name : type.type
  return named(schema, name, depth)
}

function named(schema: PolicySchema, written: string, depth: number): ValueType {
  const name = written.replace(/^__cedar::/, '').replace(`${NAMESPACE}::`, '')
  const { commonTypes = {}, entityTypes } = schema.json[NAMESPACE] ?? { entityTypes: {} }
  const common = Object.hasOwn(commonTypes, name) ? commonTypes[name] : undefined
  if (common) return resolve(schema, common, depth + 1)
  if (Object.hasOwn(entityTypes, name)) return { kind: 'link', to: name }
  return (Object.hasOwn(PRIMITIVES, name) ? PRIMITIVES[name] : undefined) ?? OTHER
}

type RecordType = { readonly attributes: Readonly<Record<string, Type<string> & { required?: boolean }>> }

function isRecordType(type: Type<string>): type is Type<string> & RecordType {
  return 'attributes' in type
}

function isSetType(type: Type<string>): type is Type<string> & { readonly element: Type<string> } {
  return 'element' in type
}

function linkFrom(to: string, value: unknown): PolicyValue | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? linkTo(to, value) : undefined
  return isRef(value) && value.type === to && value.id.isWellFormed() ? linkTo(to, value.id) : undefined
}

function isRef(value: unknown): value is EntityRef {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    'id' in value &&
    typeof value.type === 'string' &&
    typeof value.id === 'string'
  )
}

function setFrom(element: ValueType, value: unknown): readonly PolicyValue[] | undefined {
  if (!Array.isArray(value)) return undefined
  const members = value.map((each: unknown) => fitted(element, each))
  const fitting = members.filter((each) => each !== undefined)
  return fitting.length === members.length ? fitting : undefined
}

function recordFrom(attributes: Attributes, value: unknown): PolicyValue | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const found = fittedAttributes(attributes, { ...value })
  const isWhole = [...attributes].every(([name, { isRequired }]) => !isRequired || name in found)
  return isWhole ? found : undefined
}
