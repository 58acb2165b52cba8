import { emptyRecordType, type DataType } from './data-type.ts'
import { readData, readRecord, wellFormed, type DataForm, type Reading } from './data-reader.ts'
import { DataFault, NotCompiled } from './fault.ts'
import { isActionType, type SchemaTypes } from './schema-types.ts'
import { EntityNode, keyOf, type EntityFacts, type Value } from './value.ts'

/** An entity as it comes: full names, data not yet checked. */
export type GivenEntity = {
  readonly type: string
  readonly id: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly tags?: Readonly<Record<string, unknown>>
  readonly parents: readonly { readonly type: string; readonly id: string }[]
}

/**
 * Entities that were checked against a schema, with everything each of them is in. Immutable: built once, asked often. It answers for the
 * schema it was built with and no other.
 */
export class EntityStore {
  readonly schema: SchemaTypes
  /** How data that refers to these entities is read. */
  readonly reading: Reading
  readonly #nodes = new Map<string, Map<string, EntityNode>>()

  /** Throws a `DataFault` when an entity does not fit the schema, is given twice in two ways, or is within itself. */
  constructor(schema: SchemaTypes, form: DataForm, given: readonly GivenEntity[]) {
    this.schema = schema
    const entities = this.#place(given)
    this.reading = { form, schema, reference: (type, id) => this.reference(type, id) }
    const parents = new Map<string, readonly string[]>()
    const known = new Map<string, EntityFacts>()
    for (const [node, entity] of entities) {
      const facts = named(entity, () => readFacts(this.reading, entity))
      const above = entity.parents.map((parent) => checkParent(schema, entity, parent))
      const before = known.get(node.key)
      if (before && printOf(before, parents.get(node.key) ?? []) !== printOf(facts, above)) {
        throw new DataFault('an entity is given twice, in two ways')
      }
      known.set(node.key, facts)
      parents.set(node.key, above)
      node.facts = facts
    }
    const ancestors = new Map<string, ReadonlySet<string>>()
    for (const [node, entity] of entities) {
      const above = ancestorsOf(node.key, parents, ancestors)
      if (isActionType(entity.type)) checkAction(schema, entity, above)
      else if (node.facts) node.facts = { ...node.facts, ancestors: above }
    }
  }

  /** The entity, if anything is known of it. */
  find(type: string, id: string): EntityNode | undefined {
    return this.#nodes.get(type)?.get(id) ?? this.schema.action(type, id)?.node
  }

  /** The entity, known or not. */
  reference(type: string, id: string): EntityNode {
    return this.find(type, id) ?? new EntityNode(type, id)
  }

  #place(given: readonly GivenEntity[]): [EntityNode, GivenEntity][] {
    return given.map((entity) => {
      const { type, id } = entity
      const ofType = this.#nodes.get(type) ?? new Map<string, EntityNode>()
      const node = ofType.get(id) ?? new EntityNode(type, wellFormed(id))
      // Actions are the schema's: those that are given are only compared with them.
      if (!isActionType(type)) this.#nodes.set(type, ofType.set(id, node))
      return [node, entity]
    })
  }
}

/** What is wrong with an entity says with which. */
function named<T>({ type, id }: GivenEntity, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DataFault)) throw error
    throw new DataFault(`${type} ${JSON.stringify(id.slice(0, 64))}: ${error.message}`)
  }
}

const NONE: ReadonlySet<string> = new Set()
const NO_TAGS: ReadonlyMap<string, Value> = new Map()

function readFacts(reading: Reading, { type, id, attributes, tags }: GivenEntity): EntityFacts {
  if (isActionType(type)) {
    if (Object.keys(attributes).length + Object.keys(tags ?? {}).length > 0)
      throw new NotCompiled('An action with attributes.')
    return { attributes: readRecord(reading, emptyRecordType, {}), tags: NO_TAGS, ancestors: NONE }
  }
  const declared = reading.schema.entities.get(type)
  if (!declared) throw new DataFault(`the type ${type} is not declared`)
  if (!reading.schema.allows(type, id)) throw new DataFault(`there is no such ${type}`)
  return {
    attributes: readRecord(reading, declared.attributes, attributes),
    tags: tags ? readTags(reading, type, declared.tags, tags) : NO_TAGS,
    ancestors: NONE,
  }
}

function readTags(
  reading: Reading,
  type: string,
  declared: DataType | null,
  tags: Readonly<Record<string, unknown>>,
): Map<string, Value> {
  const read = new Map<string, Value>()
  for (const [name, tag] of Object.entries(tags)) {
    if (!declared) throw new DataFault(`${type} has no tags`)
    read.set(wellFormed(name), readData(reading, declared, tag))
  }
  return read
}

function checkParent(schema: SchemaTypes, { type }: GivenEntity, parent: { type: string; id: string }): string {
  const isAllowed = isActionType(type)
    ? isActionType(parent.type)
    : schema.entities.get(type)?.ancestors.has(parent.type) && schema.allows(parent.type, parent.id)
  if (!isAllowed) throw new DataFault(`${type} can't be in ${parent.type}`)
  return new EntityNode(parent.type, wellFormed(parent.id)).key
}

/** What two givings of one entity share when they say the same. */
function printOf({ attributes, tags }: EntityFacts, parents: readonly string[]): string {
  const tagged = [...tags].map(([name, tag]) => `${JSON.stringify(name)}=${keyOf(tag)}`)
  return JSON.stringify([keyOf(attributes), tagged.sort(), [...new Set(parents)].sort()])
}

/** Everything above an entity, through the entities that are given. `open` holds the entities on the way to this one. */
function ancestorsOf(
  key: string,
  parents: ReadonlyMap<string, readonly string[]>,
  known: Map<string, ReadonlySet<string>>,
  open = new Set<string>(),
): ReadonlySet<string> {
  const found = known.get(key)
  if (found) return found
  const direct = parents.get(key)
  if (!direct || direct.length === 0) return NONE
  if (open.has(key)) throw new DataFault('entities are within each other')
  open.add(key)
  const above = new Set(direct)
  for (const parent of direct) for (const each of ancestorsOf(parent, parents, known, open)) above.add(each)
  open.delete(key)
  known.set(key, above)
  return above
}

/** An action that is given must be what the schema says it is. */
function checkAction(schema: SchemaTypes, { type, id }: GivenEntity, ancestors: ReadonlySet<string>): void {
  const declared = schema.action(type, id)?.node.facts?.ancestors
  if (!declared) throw new DataFault(`the action ${type}::${id} is not declared`)
  const isSame = declared.size === ancestors.size && [...declared].every((key) => ancestors.has(key))
  if (!isSame) throw new DataFault(`the action ${type}::${id} is declared with other groups`)
}
