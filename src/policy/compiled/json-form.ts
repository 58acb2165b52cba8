import { NotCompiled } from './fault.ts'

/** Reading of the parsed form of policies and schemas: what has another form than expected is left to the reference engine. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (isObject(value)) return value
  throw new NotCompiled('An object was expected in the parsed form.')
}

export function asArray(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new NotCompiled('A list was expected in the parsed form.')
}

export function asText(value: unknown): string {
  if (typeof value === 'string') return value
  throw new NotCompiled('A text was expected in the parsed form.')
}

/** What an object holds under a name of its own. */
export function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** Of an object with one entry, that entry. */
export function onlyEntry(value: unknown): readonly [name: string, body: unknown] {
  const [entry, more] = Object.entries(asObject(value))
  if (entry && more === undefined) return entry
  throw new NotCompiled('One entry was expected in the parsed form.')
}

/** An entity as the parsed form spells it: with `__entity` around it or without. */
export function asEntity(value: unknown): { readonly type: string; readonly id: string } {
  const outer = asObject(value)
  const uid = asObject(own(outer, '__entity') ?? outer)
  return { type: asText(own(uid, 'type')), id: asText(own(uid, 'id')) }
}
