import type { DateTime, Decimal, Duration, IpAddress } from './extension-value.ts'
import type { Long } from './long.ts'

/** A value of the language. All are immutable once evaluation can see them. */
export type Value =
  | string
  | boolean
  | Long
  | EntityNode
  | SetValue
  | RecordValue
  | Decimal
  | DateTime
  | Duration
  | IpAddress

/** The attribute names of a kind of record, each with its place in `RecordValue.slots`. */
export class Shape {
  readonly names: readonly string[]
  readonly #places = new Map<string, number>()

  constructor(names: readonly string[]) {
    this.names = names
    for (const [place, name] of names.entries()) this.#places.set(name, place)
  }

  /** -1 for a name that no record of this shape has. */
  placeOf(name: string): number {
    return this.#places.get(name) ?? -1
  }
}

/** A record; an attribute that is absent is undefined in its slot. */
export class RecordValue {
  readonly shape: Shape
  readonly slots: readonly (Value | undefined)[]

  constructor(shape: Shape, slots: readonly (Value | undefined)[]) {
    this.shape = shape
    this.slots = slots
  }

  get(name: string): Value | undefined {
    const place = this.shape.placeOf(name)
    return place < 0 ? undefined : this.slots[place]
  }
}

export const emptyRecord = new RecordValue(new Shape([]), [])

/** What is known of an entity: attributes, tags, and everything it is in, by key. */
export type EntityFacts = {
  readonly attributes: RecordValue
  readonly tags: ReadonlyMap<string, Value>
  readonly ancestors: ReadonlySet<string>
}

/** An entity as a value. Without facts it is a name that the policies or the data mention. */
export class EntityNode {
  readonly type: string
  readonly id: string
  /** Names the entity in sets; no type has a quotation mark. */
  readonly key: string
  /** Set once, when the store that the node belongs to is built. */
  facts: EntityFacts | undefined = undefined
  /** True of a name in a policy: its facts are in the store of each question. */
  readonly isLiteral: boolean

  constructor(type: string, id: string, isLiteral = false) {
    this.type = type
    this.id = id
    this.key = keyOfEntity(type, id)
    this.isLiteral = isLiteral
  }
}

export function keyOfEntity(type: string, id: string): string {
  return `${type}"${id}`
}

function isSameEntity(a: EntityNode, b: EntityNode): boolean {
  return a === b || (a.id === b.id && a.type === b.type)
}

type Primitive = string | boolean | Long

/** A set: primitive elements by themselves, all others under their canonical keys. */
export class SetValue {
  readonly primitives = new Set<Primitive>()
  readonly others = new Map<string, Exclude<Value, Primitive>>()

  constructor(elements: Iterable<Value>) {
    for (const element of elements) {
      if (typeof element === 'object') this.others.set(keyOf(element), element)
      else this.primitives.add(element)
    }
  }

  get size(): number {
    return this.primitives.size + this.others.size
  }

  has(value: Value): boolean {
    if (typeof value !== 'object') return this.primitives.has(value)
    return this.others.size > 0 && this.others.has(keyOf(value))
  }

  isSubsetOf(other: SetValue): boolean {
    if (this.primitives.size > other.primitives.size || this.others.size > other.others.size) return false
    for (const value of this.primitives) if (!other.primitives.has(value)) return false
    for (const key of this.others.keys()) if (!other.others.has(key)) return false
    return true
  }

  isDisjointFrom(other: SetValue): boolean {
    if (this.size > other.size) return other.isDisjointFrom(this)
    for (const value of this.primitives) if (other.primitives.has(value)) return false
    for (const key of this.others.keys()) if (other.others.has(key)) return false
    return true
  }
}

/** Equality of the language: values of different types differ, sets are equal as sets, records by their attributes. */
export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object') return false
  if (a instanceof EntityNode) return b instanceof EntityNode && isSameEntity(a, b)
  if (a instanceof SetValue) return b instanceof SetValue && a.size === b.size && a.isSubsetOf(b)
  return a.constructor === b.constructor && keyOf(a) === keyOf(b)
}

/** A text that two values share exactly when they are equal. */
export function keyOf(value: Value): string {
  if (typeof value === 'object') return keyOfObject(value)
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

function keyOfObject(value: Exclude<Value, Primitive>): string {
  if (value instanceof EntityNode) return `@${value.type}${JSON.stringify(value.id)}`
  if (value instanceof SetValue) {
    const keys = [...[...value.primitives].map(keyOf), ...value.others.keys()]
    return `[${keys.sort().join()}]`
  }
  if (value instanceof RecordValue) {
    const fields: string[] = []
    for (const [place, name] of value.shape.names.entries()) {
      const field = value.slots[place]
      if (field !== undefined) fields.push(`${JSON.stringify(name)}:${keyOf(field)}`)
    }
    return `{${fields.sort().join()}}`
  }
  return value.key
}

/** What a value is, for the message of a type error. */
export function typeName(value: Value): string {
  if (typeof value === 'string') return 'a string'
  if (typeof value === 'boolean') return 'a boolean'
  if (typeof value !== 'object') return 'a long'
  if (value instanceof EntityNode) return `an entity of type ${value.type}`
  if (value instanceof SetValue) return 'a set'
  return value instanceof RecordValue ? 'a record' : `a value of type ${value.type}`
}
