import type { DataType, RecordType } from './data-type.ts'
import { constructors, extensionFunctions, type ExtensionType } from './extension-functions.ts'
import { DataFault, EvaluationFault, NotCompiled } from './fault.ts'
import { isObject } from './json-form.ts'
import type { Long } from './long.ts'
import type { SchemaTypes } from './schema-types.ts'
import { type EntityNode, RecordValue, SetValue, type Value } from './value.ts'

/** How data spells what has no plain form. Names of types are full. */
export type DataForm = {
  /** The entity that a value names, when it is spelt as one. */
  entityOf(value: object): { readonly type: string; readonly id: string } | undefined
  /** A value of an extension, when it is spelt as one. */
  extensionOf(value: object): ExtensionCall | Value | undefined
  /** The number as the language has it; undefined for one that is none. */
  longOf(value: unknown): Long | undefined
}

/** A call of an extension function, as data spells it. */
export class ExtensionCall {
  readonly name: string
  readonly args: readonly unknown[]

  constructor(name: string, args: readonly unknown[]) {
    this.name = name
    this.args = args
  }
}

/** What reading data needs: its spelling, what may exist, and the entities that references are to. */
export type Reading = {
  readonly form: DataForm
  readonly schema: SchemaTypes
  reference(type: string, id: string): EntityNode
}

/** A piece of data as a value of its type. Throws a `DataFault` when it is not of the type. */
export function readData(reading: Reading, type: DataType, data: unknown): Value {
  switch (type.kind) {
    case 'string':
      if (typeof data === 'string') return wellFormed(data)
      break
    case 'boolean':
      if (typeof data === 'boolean') return data
      break
    case 'long': {
      const long = reading.form.longOf(data)
      if (long !== undefined) return long
      break
    }
    case 'set':
      if (Array.isArray(data)) return new SetValue(data.map((each) => readData(reading, type.element, each)))
      break
    case 'record':
      if (isPlainRecord(reading, data)) return readRecord(reading, type, data)
      break
    case 'entity':
      return readEntity(reading, type.name, data)
    case 'extension':
      return readExtension(reading, type.name, data)
  }
  // The one other way that data can be of these types: a call that gives one.
  if (typeof data === 'object' && data !== null && reading.form.extensionOf(data) instanceof ExtensionCall) {
    throw new NotCompiled('A call in the data that does not make a value of an extension.')
  }
  throw new DataFault(`expected ${nameOf(type)}`)
}

function isPlainRecord({ form }: Reading, data: unknown): data is Readonly<Record<string, unknown>> {
  return isObject(data) && form.entityOf(data) === undefined && form.extensionOf(data) === undefined
}

/** Reads a record with just the attributes of its type; undefined stands for absent. */
export function readRecord(reading: Reading, type: RecordType, data: Readonly<Record<string, unknown>>): RecordValue {
  const { shape, attributes } = type
  const slots: (Value | undefined)[] = type.blank.slice()
  let reached = ''
  try {
    for (const name of Object.keys(data)) {
      const field = data[name]
      if (field === undefined) continue
      reached = name
      const place = shape.placeOf(name)
      const attribute = attributes[place]
      if (!attribute) throw new DataFault('an attribute that is not declared')
      slots[place] = readData(reading, attribute.type, field)
    }
  } catch (error) {
    throw error instanceof DataFault ? new DataFault(`${reached.slice(0, 64)}: ${error.message}`) : error
  }
  for (const place of type.required) {
    if (slots[place] === undefined) throw new DataFault(`${shape.names[place]} is missing`)
  }
  return new RecordValue(shape, slots)
}

function readEntity(reading: Reading, type: string, data: unknown): EntityNode {
  // The reference takes some lists for entities; which, is its own affair.
  if (Array.isArray(data)) throw new NotCompiled('A list where an entity was expected.')
  if (!isObject(data)) throw new DataFault('expected an entity')
  const named = reading.form.entityOf(data) ?? asImplicit(reading, data)
  if (named?.type !== type) throw new DataFault(`expected an entity of type ${type}`)
  const { id } = named
  if (!reading.schema.allows(type, wellFormed(id))) throw new DataFault(`there is no such ${type}`)
  return reading.reference(type, id)
}

/** `{ type, id }`: where an entity is expected, that is one. */
function asImplicit(
  { form }: Reading,
  data: Readonly<Record<string, unknown>>,
): { type: string; id: string } | undefined {
  if (form.extensionOf(data) !== undefined) return undefined
  const { type, id, ...more } = data
  if (typeof type !== 'string' || typeof id !== 'string') return undefined
  if (Object.keys(more).length > 0) throw new NotCompiled('An entity in the data with more to it.')
  return { type, id }
}

function readExtension(reading: Reading, type: ExtensionType, data: unknown): Value {
  // Where one is expected, its text alone is enough.
  if (typeof data === 'string') return callOf(reading, new ExtensionCall(constructors[type], [data]), type)
  if (Array.isArray(data)) throw new NotCompiled(`A list where a ${type} was expected.`)
  if (!isObject(data)) throw new DataFault(`expected a ${type}`)
  const spelt = reading.form.extensionOf(data)
  if (spelt instanceof ExtensionCall) return callOf(reading, spelt, type)
  if (spelt !== undefined) {
    if (typeof spelt === 'object' && 'type' in spelt && spelt.type === type) return spelt
    throw new DataFault(`expected a ${type}`)
  }
  if (Object.hasOwn(data, 'fn')) throw new NotCompiled('A call in the data that is not marked as one.')
  throw new DataFault(`expected a ${type}`)
}

function callOf(reading: Reading, { name, args }: ExtensionCall, type: ExtensionType): Value {
  const called = extensionFunctions.get(name)
  if (!called) throw new NotCompiled(`A call of ${name} in the data.`)
  if (called.returns !== type || called.takes.length !== args.length) throw new DataFault(`expected a ${type}`)
  const values = args.map((arg, at) => {
    const taken = called.takes[at] ?? 'string'
    return taken === 'string' ? readData(reading, { kind: 'string' }, arg) : readExtension(reading, taken, arg)
  })
  try {
    return called.call(values)
  } catch (error) {
    throw error instanceof EvaluationFault ? new DataFault(error.message) : error
  }
}

/** The text, unless it holds half a character: the reference engine can't be asked about that. */
export function wellFormed(text: string): string {
  if (text.isWellFormed()) return text
  throw new DataFault('a text that is not Unicode')
}

function nameOf(type: DataType): string {
  if (type.kind === 'string' || type.kind === 'boolean' || type.kind === 'long') return `a ${type.kind}`
  return type.kind === 'set' ? 'a list' : 'a record'
}
