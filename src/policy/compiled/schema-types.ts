import {
  emptyRecordType,
  entityName,
  fullName,
  readNames,
  readTexts,
  readType,
  type DataType,
  type Names,
  type RecordType,
} from './data-type.ts'
import { NotCompiled } from './fault.ts'
import { asArray, asObject, asText, own } from './json-form.ts'
import { emptyRecord, EntityNode, keyOfEntity, type Value } from './value.ts'

/** A kind of entity: what it must have, what it may be in. */
export type EntityType = {
  readonly attributes: RecordType
  readonly tags: DataType | null
  /** Types of everything it may be in, directly or not. */
  readonly ancestors: ReadonlySet<string>
  /** Of an enumerated type, every id there is. */
  readonly ids: ReadonlySet<string> | null
}

/** What may be asked with an action. */
export type ActionType = {
  readonly node: EntityNode
  readonly principals: ReadonlySet<string>
  readonly resources: ReadonlySet<string>
  readonly context: RecordType
}

/** A schema as the checks of data need it. Immutable. */
export class SchemaTypes {
  readonly entities: ReadonlyMap<string, EntityType>
  /** By type, then id. */
  readonly actions: ReadonlyMap<string, ReadonlyMap<string, ActionType>>

  constructor(
    entities: ReadonlyMap<string, EntityType>,
    actions: ReadonlyMap<string, ReadonlyMap<string, ActionType>>,
  ) {
    this.entities = entities
    this.actions = actions
  }

  action(type: string, id: string): ActionType | undefined {
    return this.actions.get(type)?.get(id)
  }

  /** Whether an entity may exist: of an enumerated type or of actions, only those that the schema lists. */
  allows(type: string, id: string): boolean {
    if (isActionType(type)) return this.action(type, id) !== undefined
    const ids = this.entities.get(type)?.ids
    return !ids || ids.has(id)
  }
}

export function isActionType(type: string): boolean {
  return type === 'Action' || type.endsWith('::Action')
}

/** Reads the JSON form of a schema that the reference engine accepted. Throws `NotCompiled` for what this engine does not know. */
export function readSchema(json: unknown): SchemaTypes {
  const schema = asObject(json)
  const names = readNames(schema)
  const entities = new Map<string, EntityType>()
  const parents = new Map<string, readonly string[]>()
  for (const [namespace, definition] of Object.entries(schema)) {
    for (const [name, body] of Object.entries(asObject(own(asObject(definition), 'entityTypes') ?? {}))) {
      const declared = asObject(body)
      const above = readTexts(own(declared, 'memberOfTypes')).map((type) => entityName(names, namespace, type))
      parents.set(fullName(namespace, name), above)
      entities.set(fullName(namespace, name), readEntityType(names, namespace, declared))
    }
  }
  const closed = new Map([...entities].map(([name, type]) => [name, { ...type, ancestors: closure(name, parents) }]))
  return new SchemaTypes(closed, readActions(names, schema))
}

function readEntityType(names: Names, namespace: string, body: Readonly<Record<string, unknown>>): EntityType {
  const shape = own(body, 'shape')
  const tags = own(body, 'tags')
  const ids = own(body, 'enum')
  return {
    attributes: shape === undefined ? emptyRecordType : recordOf(readType(names, namespace, shape)),
    tags: tags === undefined ? null : readType(names, namespace, tags),
    ancestors: new Set(),
    ids: ids === undefined ? null : new Set(asArray(ids).map(asText)),
  }
}

function recordOf(type: DataType): RecordType {
  if (type.kind === 'record') return type
  throw new NotCompiled('A record was expected in the schema.')
}

/** Everything that is reached from a name, without the name itself unless it reaches itself. */
function closure(name: string, next: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set(next.get(name))
  // A set hands out what is added while it is walked.
  for (const each of reached) for (const further of next.get(each) ?? []) reached.add(further)
  return reached
}

type DeclaredAction = { readonly type: string; readonly id: string; readonly namespace: string; readonly body: unknown }

function readActions(names: Names, schema: Readonly<Record<string, unknown>>): Map<string, Map<string, ActionType>> {
  const declared: DeclaredAction[] = []
  for (const [namespace, definition] of Object.entries(schema)) {
    const type = fullName(namespace, 'Action')
    for (const [id, body] of Object.entries(asObject(own(asObject(definition), 'actions') ?? {}))) {
      declared.push({ type, id, namespace, body })
    }
  }
  const keys = new Set(declared.map(({ type, id }) => keyOfEntity(type, id)))
  const parents = new Map(declared.map((action) => [keyOfEntity(action.type, action.id), parentsOf(action, keys)]))
  const actions = new Map<string, Map<string, ActionType>>()
  for (const action of declared) {
    const { type, id } = action
    const ofType = actions.get(type) ?? new Map<string, ActionType>()
    const node = new EntityNode(type, id)
    const tags = new Map<string, Value>()
    node.facts = { attributes: emptyRecord, tags, ancestors: closure(node.key, parents) }
    ofType.set(id, { node, ...readApplication(names, action) })
    actions.set(type, ofType)
  }
  return actions
}

function parentsOf({ namespace, body }: DeclaredAction, declared: ReadonlySet<string>): string[] {
  const attributes = own(asObject(body), 'attributes')
  if (attributes !== undefined && attributes !== null && Object.keys(asObject(attributes)).length > 0) {
    throw new NotCompiled('Actions with attributes.')
  }
  return asArray(own(asObject(body), 'memberOf') ?? []).map((parent) => {
    const uid = asObject(parent)
    const type = asText(own(uid, 'type') ?? 'Action')
    const id = asText(own(uid, 'id'))
    const found = [fullName(namespace, type), type].find((name) => declared.has(keyOfEntity(name, id)))
    if (found === undefined) throw new NotCompiled(`The action ${id} is not declared.`)
    return keyOfEntity(found, id)
  })
}

function readApplication(names: Names, { namespace, body }: DeclaredAction): Omit<ActionType, 'node'> {
  const appliesTo = asObject(own(asObject(body), 'appliesTo') ?? {})
  const typesIn = (name: string) =>
    new Set(readTexts(own(appliesTo, name)).map((type) => entityName(names, namespace, type)))
  const context = own(appliesTo, 'context')
  return {
    principals: typesIn('principalTypes'),
    resources: typesIn('resourceTypes'),
    context: context === undefined ? emptyRecordType : recordOf(readType(names, namespace, context)),
  }
}
