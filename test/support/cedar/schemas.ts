import { pick, seldom, several, type Choices } from './choices.ts'

/** A type as the generator thinks of it. */
export type Kind =
  | { readonly kind: 'long' | 'string' | 'boolean' | 'decimal' | 'ipaddr' | 'datetime' | 'duration' }
  | { readonly kind: 'entity'; readonly name: EntityName }
  | { readonly kind: 'set'; readonly of: Kind }
  | { readonly kind: 'record'; readonly fields: Fields }

export type Field = { readonly kind: Kind; readonly required: boolean }
export type Fields = ReadonlyMap<string, Field>

export const ENTITY_NAMES = ['User', 'Group', 'Doc', 'Folder', 'Level'] as const
export type EntityName = (typeof ENTITY_NAMES)[number]

/** What each kind of entity may be in; a level is one of two and in nothing. */
export const MEMBER_OF: Readonly<Record<EntityName, readonly EntityName[]>> = {
  User: ['Group'],
  Group: ['Group'],
  Doc: ['Folder', 'Group'],
  Folder: ['Folder'],
  Level: [],
}

export const LEVELS = ['low', 'high'] as const
export const ACTION_GROUPS = ['read', 'write', 'any'] as const
export const ACTIONS = ['view', 'edit', 'share'] as const

/** The generated part of a schema and its JSON. */
export type GeneratedSchema = {
  readonly namespace: string
  readonly attributes: Readonly<Record<EntityName, Fields>>
  readonly tags: Readonly<Record<EntityName, Kind | null>>
  readonly contexts: Readonly<Record<string, Fields>>
  readonly json: Readonly<Record<string, unknown>>
}

/** Names that a plain object has by itself, that need quoting, or that the syntax of data uses. */
const NAMES = ['a', 'b', 'ok', 'n', 'constructor', 'toString', 'two words', 'é', 'type', 'id'] as const

const PLAIN = ['long', 'string', 'boolean', 'decimal', 'ipaddr', 'datetime', 'duration'] as const

export function kindOf(choices: Choices, depth: number): Kind {
  const what = choices.below(depth > 0 ? 12 : 9)
  if (what < 7) return { kind: PLAIN[what] ?? 'long' }
  if (what < 9) return { kind: 'entity', name: pick(choices, ENTITY_NAMES) }
  if (what < 11) return { kind: 'set', of: kindOf(choices, depth - 1) }
  return { kind: 'record', fields: fieldsOf(choices, depth - 1) }
}

function fieldsOf(choices: Choices, depth: number): Fields {
  return new Map(
    several(choices, 5, () => [pick(choices, NAMES), { kind: kindOf(choices, depth), required: !seldom(choices, 3) }]),
  )
}

export function schemaOf(choices: Choices): GeneratedSchema {
  const namespace = pick(choices, ['', 'App', 'App::Inner'])
  const empty: Fields = new Map()
  const of = (name: EntityName) => (name === 'Level' ? empty : fieldsOf(choices, 2))
  const attributes = { User: of('User'), Group: of('Group'), Doc: of('Doc'), Folder: of('Folder'), Level: empty }
  const tag = () => (seldom(choices, 2) ? kindOf(choices, 1) : null)
  const tags = { User: tag(), Group: null, Doc: tag(), Folder: null, Level: null }
  const contexts = { view: fieldsOf(choices, 2), edit: fieldsOf(choices, 2), share: empty }
  const generated = { namespace, attributes, tags, contexts }
  return { ...generated, json: jsonOf(generated) }
}

function jsonOf({ namespace, attributes, tags, contexts }: Omit<GeneratedSchema, 'json'>): Record<string, unknown> {
  const entityTypes = Object.fromEntries(
    ENTITY_NAMES.map((name) => {
      if (name === 'Level') return [name, { enum: LEVELS }]
      const tag = tags[name]
      const shape = recordJson(attributes[name])
      return [name, { memberOfTypes: MEMBER_OF[name], shape, ...(tag && { tags: typeJson(tag) }) }]
    }),
  )
  const appliesTo = (action: string) => ({
    principalTypes: ['User', 'Group'],
    resourceTypes: ['Doc', 'Folder', 'Level'],
    context: { type: `Context_${action}` },
  })
  const actions = {
    any: {},
    read: { memberOf: [{ id: 'any' }] },
    write: { memberOf: [{ id: 'any', type: namespace === '' ? 'Action' : `${namespace}::Action` }] },
    view: { memberOf: [{ id: 'read' }], appliesTo: appliesTo('view') },
    edit: { memberOf: [{ id: 'read' }, { id: 'write' }], appliesTo: appliesTo('edit') },
    share: { appliesTo: appliesTo('share') },
  }
  const commonTypes = Object.fromEntries(
    Object.entries(contexts).map(([action, fields]) => [`Context_${action}`, recordJson(fields)]),
  )
  return { [namespace]: { entityTypes, actions, commonTypes } }
}

function recordJson(fields: Fields): Record<string, unknown> {
  const attributes = [...fields].map(([name, { kind, required }]) => [name, { ...typeJson(kind), required }])
  return { type: 'Record', attributes: Object.fromEntries(attributes) }
}

const BUILT_IN_JSON: Readonly<Record<(typeof PLAIN)[number], Record<string, unknown>>> = {
  long: { type: 'Long' },
  string: { type: 'EntityOrCommon', name: 'String' },
  boolean: { type: 'EntityOrCommon', name: '__cedar::Bool' },
  decimal: { type: 'Extension', name: 'decimal' },
  ipaddr: { type: 'EntityOrCommon', name: 'ipaddr' },
  datetime: { type: 'Extension', name: 'datetime' },
  duration: { type: 'EntityOrCommon', name: 'duration' },
}

function typeJson(kind: Kind): Record<string, unknown> {
  if (kind.kind === 'set') return { type: 'Set', element: typeJson(kind.of) }
  if (kind.kind === 'record') return recordJson(kind.fields)
  if (kind.kind === 'entity') return { type: 'EntityOrCommon', name: kind.name }
  return BUILT_IN_JSON[kind.kind]
}
