import { z } from 'zod'
import { classificationOf } from '../../kernel/event.ts'

/** An input as it may be shown, with the names of what was left out of it. */
export type Shown = { readonly input: Record<string, unknown>; readonly hidden: readonly string[] }

/** Deeper than any input of ours. */
const DEEPEST = 8
const MOST_HIDDEN = 256

/**
 * The parts of an input by how its schema classifies them (kernel/event.ts): public ones as they are, personal ones if `isPersonalShown`, secret
 * ones (and what nobody classified) never.
 */
export function shownOf(schema: z.core.$ZodType, input: unknown, isPersonalShown: boolean): Shown {
  const hidden: string[] = []
  const value = partOf(schema, input, '', { hidden, isPersonalShown })
  return { input: isRecord(value) ? value : {}, hidden: hidden.slice(0, MOST_HIDDEN) }
}

type Showing = { readonly hidden: string[]; readonly isPersonalShown: boolean }

const LEFT_OUT = Symbol('left out')

function partOf(schema: z.core.$ZodType, value: unknown, path: string, showing: Showing): unknown {
  if (value === undefined) return LEFT_OUT
  const classification = classificationOf(schema)
  if (classification === 'public' || (classification === 'personal' && showing.isPersonalShown)) return value
  const inner = formOf(unwrapped(schema), value)
  if (classification === 'secret' && inner instanceof z.ZodObject && isRecord(value) && depthOf(path) < DEEPEST) {
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, member]) => {
        const known = Object.hasOwn(inner.shape, name) ? inner.shape[name] : undefined
        const part = known ? partOf(known, member, path === '' ? name : `${path}.${name}`, showing) : LEFT_OUT
        return part === LEFT_OUT ? [] : [[name, part]]
      }),
    )
  }
  if (path !== '') showing.hidden.push(path)
  return LEFT_OUT
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  ) {
    return unwrapped(schema.def.innerType)
  }
  return schema instanceof z.ZodPipe ? unwrapped(schema.def.in) : schema
}

/** Of several forms, the one that the value has. */
function formOf(schema: z.core.$ZodType, value: unknown): z.core.$ZodType {
  if (!(schema instanceof z.ZodUnion)) return schema
  const form = schema.options.find((option: z.core.$ZodType) => z.safeParse(option, value).success)
  return form ? formOf(unwrapped(form), value) : schema
}

function depthOf(path: string): number {
  return path === '' ? 0 : path.split('.').length
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
