/**
 * What an operation takes, as arguments of a command: path parameters stand in their order, fields of query and input are options. Derived from
 * the schemas alone, so that a new operation is a new command without a line here.
 */
import { z } from 'zod'
import { classificationOf } from '../kernel/event.ts'
import { PATH_PARAMETER, type Operation } from '../kernel/operation.ts'

/** How the text of an option becomes a value. `secret` kinds are named by a file, since arguments are seen by everybody on a machine. */
type FieldKind =
  | 'text'
  | 'number'
  | 'duration'
  | 'boolean'
  | 'choice'
  | 'list'
  | 'map'
  | 'json'
  | 'secret-text'
  | 'secret-json'

export type Field = {
  readonly property: string
  /** The long option without its dashes: `owner-team`. */
  readonly option: string
  readonly place: 'query' | 'input'
  readonly kind: FieldKind
  readonly choices: readonly string[] | undefined
  readonly isRequired: boolean
  /** Whether null is a value of it: `--no-…` sends that. */
  readonly isNullable: boolean
  readonly description: string
  readonly byDefault: unknown
}

export type CommandShape = {
  readonly operation: Operation
  readonly noun: string
  readonly verb: string
  readonly params: readonly { readonly name: string; readonly description: string }[]
  readonly fields: readonly Field[]
  readonly takesInput: boolean
  /** Whether it lists pages, which `--all` follows. */
  readonly isPaged: boolean
}

/** Options that every command has; a field of that name gets the prefix `input-`. */
export const COMMON_OPTIONS = [
  'output',
  'context',
  'all',
  'from',
  'idempotency-key',
  'request-approval',
  'wait',
  'help',
]

export function shapeOf(operation: Operation): CommandShape {
  const [noun = '', verb = ''] = operation.id.split('.')
  const shape = operation.params.shape
  const params = [...operation.path.matchAll(PATH_PARAMETER)].map(([, name = '']) => ({
    name,
    description: descriptionOf(shape[name]) ?? 'id',
  }))
  const query = fieldsOf(operation.query, 'query')
  const input = fieldsOf(operation.input, 'input')
  return {
    operation,
    noun,
    verb,
    params,
    fields: [...query, ...input],
    takesInput: !(operation.input instanceof z.ZodUndefined),
    isPaged: query.some(({ property }) => property === 'cursor') && hasPages(operation.output),
  }
}

function fieldsOf(schema: z.core.$ZodType, place: Field['place']): Field[] {
  const { inner } = opened(schema)
  if (inner instanceof z.ZodObject) {
    return Object.entries(inner.shape).map(([property, member]) => fieldOf(property, member, place))
  }
  if (inner instanceof z.ZodUnion) return ofUnion(inner.options.map((option) => fieldsOf(option, place)))
  return []
}

/** Of several forms of an input: every field of any; required is what all of them require. */
function ofUnion(forms: readonly (readonly Field[])[]): Field[] {
  const byProperty = Map.groupBy(forms.flat(), ({ property }) => property)
  return [...byProperty.values()].flatMap((same) => {
    const [first] = same
    if (!first) return []
    const choices = [...new Set(same.flatMap((field) => field.choices ?? []))]
    return {
      ...first,
      choices: choices.length > 0 ? choices : undefined,
      isRequired: same.length === forms.length && same.every(({ isRequired }) => isRequired),
    }
  })
}

function fieldOf(property: string, schema: z.core.$ZodType, place: Field['place']): Field {
  const { inner, isOptional, isNullable, byDefault } = opened(schema)
  const isSecret = place === 'input' && classificationOf(schema) === 'secret'
  const kind = kindOf(property, inner, isSecret)
  return {
    property,
    option: optionOf(property, kind),
    place,
    kind,
    choices: choicesOf(inner),
    isRequired: !isOptional,
    isNullable,
    description: descriptionOf(schema) ?? '',
    byDefault,
  }
}

type Opened = { inner: z.core.$ZodType; isOptional: boolean; isNullable: boolean; byDefault: unknown }

/** What stands inside of optional, nullable, default, read-only and codecs. */
function opened(schema: z.core.$ZodType): Opened {
  if (schema instanceof z.ZodOptional) return { ...opened(schema.def.innerType), isOptional: true }
  if (schema instanceof z.ZodNullable) return { ...opened(schema.def.innerType), isNullable: true }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return { ...opened(schema.def.innerType), isOptional: true, byDefault: schema.def.defaultValue }
  }
  if (schema instanceof z.ZodReadonly) return opened(schema.def.innerType)
  // `z.stringbool()` takes text and means yes or no.
  if (schema instanceof z.ZodPipe && schema.def.out instanceof z.ZodBoolean) return opened(schema.def.out)
  if (schema instanceof z.ZodPipe) {
    return opened(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in)
  }
  return { inner: schema, isOptional: false, isNullable: false, byDefault: undefined }
}

function kindOf(property: string, inner: z.core.$ZodType, isSecret: boolean): FieldKind {
  if (inner instanceof z.ZodBoolean) return 'boolean'
  if (inner instanceof z.ZodNumber) return property.endsWith('Seconds') ? 'duration' : 'number'
  if (choicesOf(inner)) return 'choice'
  if (inner instanceof z.ZodArray && isText(inner.element)) return 'list'
  if (isPlainText(inner)) return isSecret ? 'secret-text' : 'text'
  if (isSecret) return 'secret-json'
  return inner instanceof z.ZodRecord && isText(inner.valueType) ? 'map' : 'json'
}

function isText(schema: z.core.$ZodType): boolean {
  const { inner } = opened(schema)
  return isPlainText(inner) || choicesOf(inner) !== undefined
}

function isPlainText(inner: z.core.$ZodType): boolean {
  return inner instanceof z.ZodString || inner instanceof z.ZodStringFormat || inner instanceof z.ZodTemplateLiteral
}

function choicesOf(inner: z.core.$ZodType): readonly string[] | undefined {
  if (inner instanceof z.ZodEnum) return inner.options.map(String)
  if (inner instanceof z.ZodLiteral) {
    const values = [...inner.values]
    return values.every((value) => typeof value === 'string') ? values : undefined
  }
  return undefined
}

/** `ttlSeconds` is `--ttl`, `isKeptAlive` is `--kept-alive`, a list says one of its members each time. */
function optionOf(property: string, kind: FieldKind): string {
  let name = property
  if (kind === 'duration') name = name.replace(/Seconds$/, '')
  if (kind === 'boolean') name = name.replace(/^is([A-Z])/, '$1')
  if (kind === 'list' || kind === 'map') name = singular(name)
  const words = name.replaceAll(/[A-Z]/g, (letter, at: number) => `${at > 0 ? '-' : ''}${letter.toLowerCase()}`)
  // A standard may spell its fields with underscores.
  const kebab = words.replaceAll('_', '-')
  const file = kind.startsWith('secret') ? `${kebab}-file` : kebab
  return COMMON_OPTIONS.includes(file) || file.startsWith('no-') ? `input-${file}` : file
}

function singular(name: string): string {
  if (name.endsWith('ies')) return `${name.slice(0, -3)}y`
  return name.endsWith('s') && !name.endsWith('ss') ? name.slice(0, -1) : name
}

/** The nearest description from the outside in. */
function descriptionOf(schema: z.core.$ZodType | undefined): string | undefined {
  if (schema === undefined) return undefined
  const own = z.globalRegistry.get(schema)?.description
  if (own !== undefined) return own
  return 'innerType' in schema._zod.def && schema._zod.def.innerType instanceof z.ZodType
    ? descriptionOf(schema._zod.def.innerType)
    : undefined
}

function hasPages(output: z.core.$ZodType): boolean {
  return output instanceof z.ZodObject && 'items' in output.shape && 'nextCursor' in output.shape
}
