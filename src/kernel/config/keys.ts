import { z } from 'zod'
import { ConfigSchema } from './schema.ts'

/** One thing that can be set: `api.port`, which is also REEVE_API_PORT. */
export type ConfigKey = {
  readonly key: string
  readonly variable: string
  readonly description: string
  readonly isSecret: boolean
  readonly byDefault: unknown
  readonly type: string
  /** The value a variable or flag means; text that is not of the type is handed on for the schema to refuse. */
  readonly fromText: (text: string) => unknown
}

/** Every key, in the order of the schema. */
export const CONFIG_KEYS: readonly ConfigKey[] = keysIn(ConfigSchema, [])

function keysIn(schema: z.core.$ZodType, path: readonly string[]): ConfigKey[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) {
    return Object.entries(inner.shape).flatMap(([name, member]) => keysIn(member, [...path, name]))
  }
  const meta = z.globalRegistry.get(schema)
  return [
    {
      key: path.join('.'),
      variable: `REEVE_${path.map(upperSnake).join('_')}`,
      description: meta?.description ?? '',
      isSecret: z.globalRegistry.get(inner)?.classification === 'secret',
      byDefault: schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined,
      type: typeName(inner),
      fromText: (text) => fromText(inner, text),
    },
  ]
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrap(schema.def.innerType)
  }
  return schema
}

function typeName(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodNumber) return 'number'
  if (schema instanceof z.ZodBoolean) return 'true or false'
  if (schema instanceof z.ZodEnum) return schema.options.join(', ')
  if (schema instanceof z.ZodArray) return `list of ${typeName(schema.element)}`
  if (schema instanceof z.ZodObject) return `{${Object.keys(schema.shape).join(', ')}}`
  if (schema instanceof z.ZodUnion) return 'text or map'
  return 'text'
}

function fromText(schema: z.core.$ZodType, text: string): unknown {
  if (schema instanceof z.ZodNumber) return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (schema instanceof z.ZodBoolean) return text === 'true' ? true : text === 'false' ? false : text
  if (schema instanceof z.ZodArray) {
    const words = text.split(',').map((word) => word.trim())
    return words
      .filter((word) => word !== '')
      .map((word) => (schema.element instanceof z.ZodObject ? { key: word } : word))
  }
  return text
}

function upperSnake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}
