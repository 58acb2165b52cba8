import { isAlias, isCollection, isNode, LineCounter, parseDocument, type Document } from 'yaml'
import { z } from 'zod'
import { Instant } from '../../kernel/instant.ts'
import type { EntityRef } from '../../kernel/permit.ts'
import { problem } from '../../kernel/problem.ts'
import { readAnnotations } from '../annotations.ts'
import type { Entity, PolicyValue } from '../entity.ts'
import { joinObligations, noObligations, type Obligations } from '../obligations.ts'
import type { PolicySchema } from '../schema.ts'
import { attributesOf, contextAttributes, fitted, type Attributes } from '../typing.ts'

/** One question of a test file with the answer that its author expects. */
export type PolicyCase = {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly subject: EntityRef
  readonly onBehalfOf: readonly EntityRef[]
  readonly action: string
  readonly resource: EntityRef
  readonly context: Readonly<Record<string, PolicyValue>>
  readonly now: Date
  readonly entities: readonly Entity[]
  readonly expect: {
    readonly decision: 'permit' | 'deny'
    /** Exactly these determine it, where it says so. */
    readonly policies: readonly string[] | undefined
    /** Exactly this is owed, where it says so. */
    readonly owes: Obligations | undefined
    /** Part of what the reasons say. */
    readonly says: string | undefined
  }
}

export const policyTestsInvalid = problem('policy-tests-invalid', 422, 'The tests of the policies are not valid', {
  faults: z.array(z.object({ file: z.string(), line: z.int(), message: z.string() })).max(100),
})

const Name = z.string().min(1).max(200)
const EntityEntry = z.looseObject({
  type: Name.optional(),
  like: Name.optional().describe('another of the file, whose attributes and groups it has too'),
  in: z.array(Name).max(1000).optional(),
})
const Values = z.record(Name, z.unknown())
const Case = z.strictObject({
  name: Name,
  subject: Name,
  for: z.array(Name).max(7).default([]).describe('whom the subject acts for'),
  action: Name,
  resource: Name,
  context: Values.default({}),
  now: Instant.optional(),
  expect: z.enum(['permit', 'deny']),
  policies: z.array(Name).max(100).optional(),
  owes: z.record(Name, z.union([z.string(), z.array(z.string())])).optional(),
  says: Name.optional(),
})
const File = z.strictObject({
  defaults: z.record(Name, Values).default({}),
  entities: z.record(Name, EntityEntry).default({}),
  context: Values.default({}),
  cases: z.array(Case).max(10_000),
})
type File = z.output<typeof File>

/** What every question's context has; a file or a case goes over it. */
const ORDINARY = { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap: false, reasonGiven: false }
const NOW = '2030-01-01T12:00:00Z'
const MAX_FAULTS = 100

/** Reads a test file against the schema it is about; throws `policyTestsInvalid` with the line of each fault. */
export function readCases(file: { readonly name: string; readonly text: string }, schema: PolicySchema): PolicyCase[] {
  const lines = new LineCounter()
  const document = parseDocument(file.text, { lineCounter: lines, uniqueKeys: true })
  const place = new Placing(file.name, document, lines)
  for (const error of document.errors) place.at(error.pos[0], error.message.split('\n', 1)[0] ?? 'not YAML')
  place.refuseIfAny()
  const parsed = File.safeParse(withoutAliases(place, document) ?? {})
  if (!parsed.success) for (const { path, message } of parsed.error.issues) place.fault(path, message)
  place.refuseIfAny()
  const tree = parsed.data ?? File.parse({ cases: [] })
  const world = entitiesOf(place, tree, schema)
  const cases = tree.cases.map((each, at) => caseOf(place, tree, world, schema, at))
  place.refuseIfAny()
  return cases.filter((each) => each !== undefined)
}

type World = ReadonlyMap<string, Entity>

function entitiesOf(place: Placing, { entities, defaults }: File, schema: PolicySchema): World {
  const world = new Map<string, Entity>()
  const build = (name: string, seen: readonly string[]): Entity | undefined => {
    const known = world.get(name)
    if (known) return known
    const entry = Object.hasOwn(entities, name) ? entities[name] : undefined
    if (!entry) return undefined
    const { like, in: groups, type: named, ...own } = entry
    if (seen.includes(name)) return place.none(['entities', name, 'like'], 'it is like itself')
    const model = like === undefined ? undefined : build(like, [...seen, name])
    if (like !== undefined && !model) return place.none(['entities', name, 'like'], `there is no ${like}`)
    const type = named ?? model?.type ?? ''
    const declared = attributesOf(schema, type)
    if (!declared) return place.none(['entities', name], `the schema has no type ${type || '(none is named)'}`)
    const identity = Object.fromEntries(['id', 'name'].filter((key) => declared.has(key)).map((key) => [key, name]))
    const base = model && model.type === type ? {} : (defaults[type] ?? {})
    const path = ['entities', name]
    const entity: Entity = {
      type,
      id: name,
      attributes: {
        ...(model?.type === type ? model.attributes : {}),
        ...valuesOf(place, path, declared, { ...identity, ...base, ...own }),
      },
      parents: groups ? groups.map((group) => refOf(place, path, group)) : (model?.parents ?? []),
    }
    world.set(name, entity)
    return entity
  }
  for (const name of Object.keys(entities)) build(name, [])
  return world
}

function caseOf(place: Placing, tree: File, world: World, schema: PolicySchema, at: number): PolicyCase | undefined {
  const each = tree.cases[at]
  if (!each) return undefined
  const path = ['cases', at]
  const find = (role: string, name: string) => {
    const found = world.get(name)
    if (!found) place.fault([...path, role], `entities has no ${name}`)
    return found
  }
  const links = [each.subject, ...each.for].map((name) => find('subject', name))
  const resource = find('resource', each.resource)
  if (!schema.actionGroups.has(each.action)) place.fault([...path, 'action'], `the schema has no action ${each.action}`)
  const context = valuesOf(place, [...path, 'context'], contextAttributes(schema), {
    ...ORDINARY,
    ...tree.context,
    ...each.context,
  })
  const owes = each.owes && owesOf(place, path, each.owes)
  const [subject, ...onBehalfOf] = links.filter((link) => link !== undefined).map(({ type, id }) => ({ type, id }))
  if (!subject || !resource) return undefined
  return {
    name: each.name,
    file: place.file,
    line: place.lineOf(path),
    subject,
    onBehalfOf,
    action: each.action,
    resource: { type: resource.type, id: resource.id },
    context,
    now: each.now ?? Instant.parse(NOW),
    entities: [...world.values()],
    expect: { decision: each.expect, policies: each.policies, owes, says: each.says },
  }
}

function valuesOf(
  place: Placing,
  path: readonly PropertyKey[],
  declared: Attributes,
  values: Readonly<Record<string, unknown>>,
): Record<string, PolicyValue> {
  const found: Record<string, PolicyValue> = {}
  for (const [name, value] of Object.entries(values)) {
    const attribute = declared.get(name)
    const fitting = attribute && fitted(attribute.type, value)
    if (!attribute) place.fault([...path, name], `the schema has no attribute ${name} here`)
    else if (fitting === undefined) place.fault([...path, name], `${name} is not what the schema says`)
    else found[name] = fitting
  }
  return found
}

/** Obligations in the words of annotations; several values are those of several permits, joined. */
function owesOf(
  place: Placing,
  path: readonly PropertyKey[],
  written: Readonly<Record<string, string | readonly string[]>>,
): Obligations {
  const each = Object.entries(written).flatMap(([name, values]) =>
    [values].flat().map((value) => readAnnotations({ [name]: value }, 'permit')),
  )
  for (const { faults } of each) {
    for (const { annotation, message } of faults) place.fault([...path, 'owes', annotation], message)
  }
  return joinObligations([noObligations, ...each.map(({ annotations }) => annotations.obligations)])
}

function refOf(place: Placing, path: readonly PropertyKey[], text: string): EntityRef {
  const at = text.indexOf('/')
  if (at < 1 || at === text.length - 1) place.fault([...path, 'in'], `write a group as Type/id, not ${text}`)
  return { type: text.slice(0, at), id: text.slice(at + 1) }
}

/** An alias would repeat what a reader does not see where it stands, and multiply besides. */
function withoutAliases(place: Placing, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch {
    place.at(0, 'aliases are not accepted')
    return place.refuseIfAny()
  }
}

/** Faults with the line they are on. */
class Placing {
  readonly file: string
  readonly #document: Document.Parsed
  readonly #lines: LineCounter
  readonly #faults: { file: string; line: number; message: string }[] = []

  constructor(file: string, document: Document.Parsed, lines: LineCounter) {
    this.file = file
    this.#document = document
    this.#lines = lines
  }

  fault(path: readonly PropertyKey[], message: string): void {
    const words = path.map(String).join('.')
    this.#faults.push({ file: this.file, line: this.lineOf(path), message: `${words || 'the file'}: ${message}` })
  }

  /** The same, for whoever has nothing to return then. */
  none(path: readonly PropertyKey[], message: string): undefined {
    this.fault(path, message)
    return undefined
  }

  at(offset: number, message: string): void {
    this.#faults.push({ file: this.file, line: this.#lines.linePos(offset).line, message })
  }

  /** Of the nearest thing that is there. */
  lineOf(path: readonly PropertyKey[]): number {
    for (let length = path.length; length > 0; length -= 1) {
      const node: unknown = this.#document.getIn(path.slice(0, length), true)
      if (isNode(node) && !isAlias(node) && node.range) return this.#lines.linePos(node.range[0]).line
    }
    return isCollection(this.#document.contents) ? 1 : 0
  }

  refuseIfAny(): undefined {
    if (this.#faults.length === 0) return undefined
    const told = this.#faults.slice(0, 5).map(({ line, message }) => `${this.file}:${line}: ${message}`)
    throw policyTestsInvalid(`The tests of the policies are not valid. ${told.join('; ')}`, {
      faults: this.#faults.slice(0, MAX_FAULTS),
    })
  }
}
