import { pick, seldom, several, type Choices } from './choices.ts'
import { idOf, typeName, uidOf } from './data.ts'
import { ExpressionWriter, quoted } from './expressions.ts'
import { ACTION_GROUPS, ACTIONS, type EntityName, type GeneratedSchema } from './schemas.ts'

/** A policy, or a template with what it is linked to. */
export type GeneratedPolicy = {
  readonly id: string
  readonly text: string
  readonly links: Readonly<Record<string, { type: string; id: string }>> | null
}

const PRINCIPALS = ['User', 'Group'] as const
const RESOURCES = ['Doc', 'Folder', 'Level'] as const

export function policiesOf(choices: Choices, schema: GeneratedSchema, atMost: number): GeneratedPolicy[] {
  const writer = new ExpressionWriter(choices, schema)
  return Array.from({ length: 1 + choices.below(atMost) }, (_, at) => policyOf(choices, schema, writer, `p${at}`))
}

function policyOf(choices: Choices, schema: GeneratedSchema, writer: ExpressionWriter, id: string): GeneratedPolicy {
  const links: Record<string, { type: string; id: string }> = {}
  const isTemplate = seldom(choices, 8)
  const slot = (name: 'principal' | 'resource') => {
    if (!isTemplate) return null
    links[`?${name}`] = uidOf(choices, schema, pick<EntityName>(choices, name === 'principal' ? PRINCIPALS : RESOURCES))
    return `?${name}`
  }
  const principal = scopeOf(choices, schema, 'principal', PRINCIPALS, slot)
  const resource = scopeOf(choices, schema, 'resource', RESOURCES, slot)
  const clauses = several(
    choices,
    2,
    () => `${seldom(choices, 4) ? 'unless' : 'when'} { ${writer.write({ kind: 'boolean' }, 3)} }`,
  )
  const effect = seldom(choices, 3) ? 'forbid' : 'permit'
  const text = `${effect} (${principal}, ${actionOf(choices, schema)}, ${resource}) ${clauses.join(' ')};`
  return { id, text, links: Object.keys(links).length > 0 ? links : null }
}

function scopeOf(
  choices: Choices,
  schema: GeneratedSchema,
  variable: 'principal' | 'resource',
  types: readonly EntityName[],
  slot: (name: 'principal' | 'resource') => string | null,
): string {
  const type = pick(choices, types)
  const group = variable === 'principal' ? 'Group' : pick(choices, ['Folder', 'Group'] as const)
  const named = (name: EntityName) => slot(variable) ?? `${typeName(schema, name)}::${quoted(idOf(choices, name))}`
  switch (choices.below(7)) {
    case 0:
      return `${variable} == ${named(type)}`
    case 1:
      return `${variable} in ${named(group)}`
    case 2:
      return `${variable} is ${typeName(schema, type)}`
    case 3:
      return `${variable} is ${typeName(schema, type)} in ${named(group)}`
    default:
      return variable
  }
}

function actionOf(choices: Choices, schema: GeneratedSchema): string {
  const named = () => `${typeName(schema, 'Action')}::"${pick(choices, [...ACTION_GROUPS, ...ACTIONS])}"`
  switch (choices.below(5)) {
    case 0:
      return `action == ${named()}`
    case 1:
      return `action in ${named()}`
    case 2:
      return `action in [${several(choices, 3, named).join(', ')}]`
    default:
      return 'action'
  }
}
