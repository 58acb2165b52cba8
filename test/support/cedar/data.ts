import type { CedarValueJson, EntityJson } from '@cedar-policy/cedar-wasm/nodejs'
import { pick, seldom, several, type Choices } from './choices.ts'
import {
  ACTIONS,
  ENTITY_NAMES,
  kindOf,
  LEVELS,
  MEMBER_OF,
  type EntityName,
  type Fields,
  type GeneratedSchema,
  type Kind,
} from './schemas.ts'

/** Texts of each extension: few, so that values meet their equals, and at the edges of what there is. */
export const TEXTS = {
  decimal: ['1.0', '1.00', '0.5', '-0.5', '-0.0', '922337203685477.5807', '-922337203685477.5808'],
  ipaddr: ['10.0.0.1', '10.0.0.0/8', '10.0.0.1/8', '0.0.0.0/0', '127.0.0.1', '224.0.0.1/4', '::1', 'ffee::/64', '::/0'],
  datetime: [
    '2024-02-29',
    '1970-01-01',
    '1969-12-31T23:59:59.999Z',
    '2024-02-29T12:00:00+0130',
    '0000-01-01',
    '9999-12-31T00:00:00-2359',
  ],
  duration: ['1d', '0ms', '-1d2h3m4s5ms', '24h', '9223372036854775807ms', '-9223372036854775808ms', '1ms'],
} as const

/** Texts that look like one and are none. */
export const BAD_TEXTS = {
  decimal: ['1', '1.', '.5', '1.00000', '922337203685477.5808', '+1.0', ' 1.0', '1.0\n', '−1.0', '１.0'],
  ipaddr: [
    '1.2.3',
    '01.2.3.4',
    '::ffff:1.2.3.4',
    '10.0.0.0/33',
    '1::2::3',
    '10.0.0.1/',
    '::1/129',
    '10.0.0.1/08',
    '1:2:3:4:5:6:7:8:9',
  ],
  datetime: [
    '2023-02-29',
    '2024-1-1',
    '2024-01-01T00:00:00',
    '2024-01-01T24:00:00Z',
    '2024-01-01T00:00:60Z',
    '2024-01-01T00:00:00+2400',
  ],
  duration: ['', '-', '1h1d', '1', '9223372036854775808ms', '1.5h', '106751991168d', '+1d', '18446744073709551616ms'],
} as const

export const STRINGS = ['', 'a', 'ab', 'b*', 'é', 'a\\b', '😀x', 'admin'] as const
export const LONGS = [0, 1, -1, 2, 3, 86_400_000, 9_007_199_254_740_991, -9_007_199_254_740_991] as const
const IDS = ['x', 'y', 'z', 'q"uote'] as const
export const TAG_NAMES = ['a', 'b', 'constructor'] as const

export function typeName({ namespace }: GeneratedSchema, name: string): string {
  return namespace === '' ? name : `${namespace}::${name}`
}

export function uidOf(choices: Choices, schema: GeneratedSchema, name: EntityName): { type: string; id: string } {
  return { type: typeName(schema, name), id: idOf(choices, name) }
}

export function idOf(choices: Choices, name: EntityName): string {
  return name === 'Level' && !seldom(choices, 60) ? pick(choices, LEVELS) : pick(choices, IDS)
}

/** A value of the kind; now and then one of another, or none at all. */
function valueOf(choices: Choices, schema: GeneratedSchema, kind: Kind, wild: number): CedarValueJson {
  if (seldom(choices, wild))
    return pick(choices, [null, 1.5, [], {}, 'a', valueOf(choices, schema, kindOf(choices, 1), 1000)])
  switch (kind.kind) {
    case 'long':
      return pick(choices, LONGS)
    case 'string':
      return pick(choices, STRINGS)
    case 'boolean':
      return choices.below(2) === 0
    case 'set':
      return several(choices, 3, () => valueOf(choices, schema, kind.of, wild))
    case 'record':
      return recordOf(choices, schema, kind.fields, wild)
    case 'entity': {
      const uid = uidOf(choices, schema, kind.name)
      // Where an entity is expected, the bare form is one too.
      return choices.below(3) === 0 ? uid : { __entity: uid }
    }
    case 'decimal':
    case 'ipaddr':
    case 'datetime':
    case 'duration':
      break
  }
  return extensionOf(choices, kind.kind, wild)
}

const CONSTRUCTORS = { decimal: 'decimal', ipaddr: 'ip', datetime: 'datetime', duration: 'duration' } as const

function extensionOf(choices: Choices, kind: keyof typeof CONSTRUCTORS, wild: number): CedarValueJson {
  const text = pick(choices, seldom(choices, wild) ? BAD_TEXTS[kind] : TEXTS[kind])
  const form = choices.below(3)
  if (form === 0) return text
  return { __extn: { fn: CONSTRUCTORS[kind], ...(form === 1 ? { arg: text } : { args: [text] }) } }
}

function recordOf(
  choices: Choices,
  schema: GeneratedSchema,
  fields: Fields,
  wild: number,
): Record<string, CedarValueJson> {
  const record: Record<string, CedarValueJson> = {}
  for (const [name, { kind, required }] of fields) {
    const isThere = required ? !seldom(choices, wild * 2) : choices.below(2) === 0
    if (isThere) record[name] = valueOf(choices, schema, kind, wild)
  }
  if (seldom(choices, wild * 4)) record['undeclared'] = 1
  return record
}

/** Data that never fits would test one path only, so it errs this seldom. */
const WILD = 400

/** Entities that refer to each other, a few of them in impossible ways. */
export function entitiesOf(choices: Choices, schema: GeneratedSchema): EntityJson[] {
  const entities: EntityJson[] = []
  for (const name of ENTITY_NAMES) {
    // Groups are in groups behind them in the list, so that circles are rare.
    for (const [at, id] of (name === 'Level' ? LEVELS : IDS).entries()) {
      if (choices.below(2) === 0) continue
      const parents = several(choices, 2, () => parentOf(choices, schema, name, at)).flat()
      const tag = schema.tags[name]
      const tags =
        tag &&
        Object.fromEntries(several(choices, 2, () => [pick(choices, TAG_NAMES), valueOf(choices, schema, tag, WILD)]))
      const attrs = recordOf(choices, schema, schema.attributes[name], WILD)
      entities.push({ uid: { type: typeName(schema, name), id }, attrs, parents, ...(tags && { tags }) })
    }
  }
  const twice = entities[choices.below(entities.length + 1)]
  if (twice && seldom(choices, 16)) entities.push(seldom(choices, 2) ? { ...twice, parents: [] } : twice)
  if (seldom(choices, 10)) entities.push(actionOf(choices, schema))
  return entities
}

function parentOf(
  choices: Choices,
  schema: GeneratedSchema,
  name: EntityName,
  at: number,
): { type: string; id: string }[] {
  const above = seldom(choices, 200)
    ? pick(choices, ENTITY_NAMES)
    : MEMBER_OF[name][choices.below(MEMBER_OF[name].length + 1)]
  if (!above) return []
  const ids = above === name && !seldom(choices, 40) ? IDS.slice(at + 1) : IDS
  return ids.length === 0 ? [] : [{ type: typeName(schema, above), id: pick(choices, ids) }]
}

/** An action among the entities: only as the schema declares it. */
function actionOf(choices: Choices, schema: GeneratedSchema): EntityJson {
  const type = typeName(schema, 'Action')
  const parents =
    choices.below(2) === 0
      ? [
          { type, id: 'read' },
          { type, id: 'any' },
        ]
      : []
  return { uid: { type, id: pick(choices, ['view', 'share', 'nothing']) }, attrs: {}, parents }
}

export type GeneratedRequest = {
  readonly principal: { type: string; id: string }
  readonly action: { type: string; id: string }
  readonly resource: { type: string; id: string }
  readonly context: Record<string, CedarValueJson>
}

export function requestOf(choices: Choices, schema: GeneratedSchema): GeneratedRequest {
  const wrong = seldom(choices, WILD)
  const action = wrong ? pick(choices, ['any', 'nothing', 'edit']) : pick(choices, ACTIONS)
  const principal = wrong ? pick(choices, ENTITY_NAMES) : pick(choices, ['User', 'User', 'Group'] as const)
  const resource = wrong ? pick(choices, ENTITY_NAMES) : pick(choices, ['Doc', 'Doc', 'Folder', 'Level'] as const)
  return {
    principal: uidOf(choices, schema, principal),
    action: { type: typeName(schema, 'Action'), id: action },
    resource: uidOf(choices, schema, resource),
    context: recordOf(choices, schema, schema.contexts[action] ?? new Map(), WILD),
  }
}
