import type { ExtensionType } from './extension-functions.ts'
import { NotCompiled } from './fault.ts'
import { asArray, asObject, asText, own } from './json-form.ts'
import { Shape } from './value.ts'

/** What the schema says a piece of data is. */
export type DataType =
  | { readonly kind: 'string' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'long' }
  | { readonly kind: 'set'; readonly element: DataType }
  | { readonly kind: 'entity'; readonly name: string }
  | { readonly kind: 'extension'; readonly name: ExtensionType }
  | RecordType

export type RecordType = {
  readonly kind: 'record'
  readonly shape: Shape
  /** Of each name of the shape. */
  readonly attributes: readonly { readonly type: DataType; readonly isRequired: boolean }[]
  /** The places of those that must be there. */
  readonly required: readonly number[]
  /** A slot for each, all absent: what a record starts from. */
  readonly blank: readonly undefined[]
}

export const emptyRecordType: RecordType = recordType([])

function recordType(
  fields: readonly { readonly name: string; readonly type: DataType; readonly isRequired: boolean }[],
): RecordType {
  return {
    kind: 'record',
    shape: new Shape(fields.map(({ name }) => name)),
    attributes: fields.map(({ type, isRequired }) => ({ type, isRequired })),
    required: fields.flatMap(({ isRequired }, place) => (isRequired ? [place] : [])),
    blank: fields.map(() => undefined),
  }
}

/** The names that a schema declares, by full name, with what common types stand for. */
export type Names = {
  readonly entities: ReadonlySet<string>
  readonly commons: ReadonlyMap<string, { readonly namespace: string; readonly body: unknown }>
}

const BUILT_IN: Readonly<Record<string, DataType>> = {
  String: { kind: 'string' },
  Bool: { kind: 'boolean' },
  Boolean: { kind: 'boolean' },
  Long: { kind: 'long' },
  decimal: { kind: 'extension', name: 'decimal' },
  ipaddr: { kind: 'extension', name: 'ipaddr' },
  datetime: { kind: 'extension', name: 'datetime' },
  duration: { kind: 'extension', name: 'duration' },
}

/** Common types that stand for each other without end would be refused by the validator; this is deeper than any that ends. */
const MAX_DEPTH = 64

export function fullName(namespace: string, name: string): string {
  return namespace === '' || name.includes('::') ? name : `${namespace}::${name}`
}

/** The full name of an entity type, sought in its namespace first, then among those without one. */
export function entityName(names: Names, namespace: string, name: string): string {
  const inside = fullName(namespace, name)
  const found = names.entities.has(inside) ? inside : name
  if (names.entities.has(found)) return found
  throw new NotCompiled(`The entity type ${name} is not declared.`)
}

/** Reads a type of the schema's JSON form. */
export function readType(names: Names, namespace: string, json: unknown, depth = 0): DataType {
  if (depth > MAX_DEPTH) throw new NotCompiled('The types of the schema are nested too deeply.')
  const body = asObject(json)
  const type = asText(own(body, 'type'))
  switch (type) {
    case 'Set':
      return { kind: 'set', element: readType(names, namespace, own(body, 'element'), depth + 1) }
    case 'Record':
      return readRecord(names, namespace, body, depth)
    case 'Entity':
      return { kind: 'entity', name: entityName(names, namespace, asText(own(body, 'name'))) }
    case 'Extension':
      return builtIn(asText(own(body, 'name')))
    case 'EntityOrCommon':
      return readName(names, namespace, asText(own(body, 'name')), depth)
    case 'String':
    case 'Long':
    case 'Boolean':
      return builtIn(type)
    default:
      return readName(names, namespace, type, depth)
  }
}

function readName(names: Names, namespace: string, name: string, depth: number): DataType {
  for (const candidate of [fullName(namespace, name), name]) {
    const common = names.commons.get(candidate)
    if (common) return readType(names, common.namespace, common.body, depth + 1)
    if (names.entities.has(candidate)) return { kind: 'entity', name: candidate }
  }
  return builtIn(name.startsWith('__cedar::') ? name.slice('__cedar::'.length) : name)
}

function builtIn(name: string): DataType {
  const type = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined
  if (type) return type
  throw new NotCompiled(`The type ${name} is not known.`)
}

function readRecord(
  names: Names,
  namespace: string,
  body: Readonly<Record<string, unknown>>,
  depth: number,
): RecordType {
  if (own(body, 'additionalAttributes') === true) throw new NotCompiled('Records with attributes nobody declared.')
  const fields = Object.entries(asObject(own(body, 'attributes') ?? {}))
  return recordType(
    fields.map(([name, field]) => ({
      name,
      type: readType(names, namespace, field, depth + 1),
      isRequired: own(asObject(field), 'required') !== false,
    })),
  )
}

/** The names of a schema. */
export function readNames(schema: Readonly<Record<string, unknown>>): Names {
  const entities = new Set<string>()
  const commons = new Map<string, { namespace: string; body: unknown }>()
  for (const [namespace, definition] of Object.entries(schema)) {
    const body = asObject(definition)
    for (const name of Object.keys(asObject(own(body, 'entityTypes') ?? {}))) entities.add(fullName(namespace, name))
    for (const [name, common] of Object.entries(asObject(own(body, 'commonTypes') ?? {}))) {
      commons.set(fullName(namespace, name), { namespace, body: common })
    }
  }
  return { entities, commons }
}

/** The texts of a list, or none when there is no list. */
export function readTexts(value: unknown): string[] {
  return value === undefined || value === null ? [] : asArray(value).map(asText)
}
