import { z } from 'zod'
import { invalidInput } from '../problem.ts'

type Issue = { path: string; message: string }

/** Problems hold at most this many issues; more help nobody. */
const MOST_ISSUES = 100
/** What a caller sent is echoed only as far as a person needs to recognise it. */
const LONGEST_ECHO = 80

/**
 * The value as `schema` reads it. Throws `invalidInput` for whatever the schema refuses and for every key it does not know, at any depth, with
 * those it knows. `place` is `body`, `query` or `path`.
 */
export function validated<S extends z.ZodType>(schema: S, value: unknown, place: string): z.output<S> {
  const strangers = strangersIn(schema, value, [])
  const parsed = schema.safeParse(value)
  if (parsed.success && strangers.length === 0) return parsed.data
  const refused = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => ({ path: path.map(echo).join('.'), message }))
  throw invalidInput(`The ${place} is not valid; each issue says where and why.`, {
    issues: [...strangers, ...refused].slice(0, MOST_ISSUES),
  })
}

/** Keys that no part of the schema has; zod's objects would drop them without a word. */
function strangersIn(schema: z.core.$ZodType, value: unknown, path: readonly PropertyKey[]): Issue[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) return strangersInObject(inner, value, path)
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    const { element } = inner
    return value.slice(0, MOST_ISSUES).flatMap((member, at) => strangersIn(element, member, [...path, at]))
  }
  if (inner instanceof z.ZodUnion) {
    const all = inner.options.map((option: z.core.$ZodType) => ({
      fits: z.safeParse(option, value).success,
      strangers: strangersIn(option, value, path),
    }))
    const fitting = all.filter(({ fits }) => fits)
    return fitting.toSorted((a, b) => a.strangers.length - b.strangers.length)[0]?.strangers ?? []
  }
  return []
}

function strangersInObject(schema: z.ZodObject, value: unknown, path: readonly PropertyKey[]): Issue[] {
  if (!isRecord(value)) return []
  const catchall = schema.def.catchall
  const isOpen = catchall !== undefined && !(catchall instanceof z.ZodNever)
  const known = Object.keys(schema.shape)
  return Object.entries(value).flatMap(([key, member]) => {
    const inner = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined
    if (inner) return strangersIn(inner, member, [...path, key])
    // An object declared strict says so itself.
    if (isOpen || catchall instanceof z.ZodNever) return []
    const message = known.length === 0 ? 'nothing is taken here' : `not known; known are ${known.join(', ')}`
    return [{ path: [...path, key].map(echo).join('.'), message }]
  })
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  ) {
    return unwrap(schema.def.innerType)
  }
  return schema instanceof z.ZodPipe ? unwrap(schema.def.in) : schema
}

function echo(part: PropertyKey): string {
  return String(part)
    .slice(0, LONGEST_ECHO)
    .replaceAll(/\p{Cc}/gu, '?')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
