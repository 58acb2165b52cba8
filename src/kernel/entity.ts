import type { EntityRef } from './permit.ts'

/**
 * What policies are told about the world: the slice of entities one question needs, in plain values. Type names are short
 * here (`Person`); the engine adds the namespace.
 */
export type Entity = {
  readonly type: string
  readonly id: string
  readonly attributes: Readonly<Record<string, PolicyValue>>
  /** Groups this entity is in: teams of a person, the target of an account. */
  readonly parents?: readonly EntityRef[]
}

declare const linkBrand: unique symbol

/** A reference to another entity as a value. Made by `linkTo` only, so that data from outside can't become one. */
export type EntityLink = { readonly [linkBrand]: true }

export type PolicyValue =
  | string
  | number
  | boolean
  | Date
  | EntityLink
  | readonly PolicyValue[]
  | { readonly [key: string]: PolicyValue }

class Link {
  declare readonly [linkBrand]: true
  readonly #to: EntityRef

  constructor(to: EntityRef) {
    this.#to = to
    Object.freeze(this)
  }

  static target(value: object): EntityRef | undefined {
    return #to in value ? value.#to : undefined
  }
}

/** The value that names another entity. */
export function linkTo(type: string, id: string): EntityLink {
  return new Link({ type, id })
}

/** Of a link, what it names; undefined for every other value. */
export function linked(value: object): EntityRef | undefined {
  return Link.target(value)
}

/** An entity may be met twice (a team of two links); the first with facts stands. */
export function distinctEntities(entities: readonly Entity[]): Entity[] {
  const found = new Map<string, Entity>()
  for (const entity of entities) {
    const key = `${entity.type}\n${entity.id}`
    const known = found.get(key)
    if (!known || Object.keys(known.attributes).length < Object.keys(entity.attributes).length) found.set(key, entity)
  }
  return [...found.values()]
}
