import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { invalidValue, ScimError } from './error.ts'
import { matches, parseValueFilter, type Filter } from './filter.ts'
import { extensionNamed, patchPath, placeOf, type PatchPath, type Place } from './path.ts'
import { canonicalValue, isDoc, singleValue, valueAt, type Doc } from './resource.ts'
import type { Attribute, ResourceType } from './schema.ts'

/** RFC 7644 §3.5.2. Entra writes the verbs with a capital; who sends a body means these members by any case. */
const Operation = z.object({
  op: z.string().max(16),
  path: z.string().max(2_000).nullish(),
  value: z.unknown().optional(),
})
const MOST_OPERATIONS = 1_000
const Patch = z.object({ operations: z.array(z.unknown()).min(1).max(MOST_OPERATIONS) })

type Step = { readonly op: 'add' | 'replace' | 'remove'; readonly path: string | undefined; readonly value: unknown }

/** The resource as it is after all operations, none or all (RFC 7644 §3.5.2). Throws a `ScimError`; the given one stays as it was. */
export function patched(type: ResourceType, resource: Readonly<Doc>, body: unknown): Doc {
  const doc = structuredClone(resource)
  for (const step of stepsOf(body)) apply(type, doc, step)
  return doc
}

function stepsOf(body: unknown): Step[] {
  const read = Patch.safeParse(lowered(body))
  if (!read.success) throw new ScimError(400, 'invalidSyntax', 'The body is no PatchOp with 1 to 1000 operations.')
  return read.data.operations.map((each) => {
    const step = Operation.safeParse(lowered(each))
    if (!step.success) throw new ScimError(400, 'invalidSyntax', 'An operation is not well-formed.')
    const op = step.data.op.toLowerCase()
    if (op !== 'add' && op !== 'replace' && op !== 'remove') {
      throw new ScimError(400, 'invalidSyntax', 'An operation is one of add, replace and remove.')
    }
    // An empty path is none.
    return { op, path: step.data.path || undefined, value: step.data.value }
  })
}

function lowered(value: unknown): unknown {
  if (!isDoc(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toLowerCase(), member]))
}

function apply(type: ResourceType, doc: Doc, step: Step): void {
  if (step.path !== undefined) {
    const extension = extensionNamed(type, step.path)
    if (extension && step.op === 'remove') delete doc[extension.id]
    else if (extension) applyAll(type, doc, { ...step, value: { [extension.id]: step.value } })
    else at(doc, patchPath(type, step.path), step)
    return
  }
  if (step.op === 'remove') throw new ScimError(400, 'noTarget', 'What is removed is named by a path.')
  applyAll(type, doc, step)
}

/** Without a path, each member of the value names its own place: an attribute, a dotted part of one, or an extension with or without its part. */
function applyAll(type: ResourceType, doc: Doc, { op, value }: Step): void {
  if (!isDoc(value)) throw invalidValue('Without a path the value is a JSON object.')
  for (const [key, member] of Object.entries(value)) {
    const extension = extensionNamed(type, key)
    if (extension && isDoc(member)) {
      for (const [part, inner] of Object.entries(member)) quietly(type, doc, `${extension.id}:${part}`, op, inner)
    } else quietly(type, doc, key, op, member)
  }
}

/** What a whole object says of what is unknown or read-only is passed over: Okta repeats the id. */
function quietly(type: ResourceType, doc: Doc, path: string, op: Step['op'], value: unknown): void {
  const place = path.includes('[') ? patchPath(type, path) : unselected(placeOf(type, path))
  if (!place || place.attribute.mutability === 'readOnly' || place.sub?.mutability === 'readOnly') return
  at(doc, place, { op, path, value })
}

function unselected(place: Place | undefined): PatchPath | undefined {
  return place && { ...place, filter: undefined }
}

function at(doc: Doc, path: PatchPath, step: Step): void {
  const { extension, attribute, sub } = path
  if (attribute.mutability === 'readOnly' || sub?.mutability === 'readOnly') {
    throw new ScimError(400, 'mutability', 'The path names what clients do not change.')
  }
  const before = valueAt(doc, extension, attribute)
  const after = attribute.multiValued ? listAfter(before, path, step) : singleAfter(before, path, step)
  const inner = extension ? doc[extension.id] : doc
  const holder = isDoc(inner) ? inner : {}
  if (after === undefined) delete holder[attribute.name]
  else holder[attribute.name] = after
  if (!extension) return
  if (Object.keys(holder).length === 0) delete doc[extension.id]
  else doc[extension.id] = holder
}

function singleAfter(before: unknown, { attribute, sub }: PatchPath, { op, value }: Step): unknown {
  if (sub) {
    const parts: Doc = isDoc(before) ? { ...before } : {}
    const part = op === 'remove' ? undefined : canonicalValue(sub, value)
    if (part === undefined) delete parts[sub.name]
    else parts[sub.name] = part
    return Object.keys(parts).length === 0 ? undefined : parts
  }
  if (op === 'remove') return undefined
  const next = canonicalValue(attribute, value)
  // RFC 7644 §3.5.2.3: parts that were not named stay.
  return isDoc(next) && isDoc(before) ? { ...before, ...next } : next
}

function listAfter(before: unknown, path: PatchPath, step: Step): unknown {
  const values = Array.isArray(before) ? before : []
  const after = path.filter === undefined ? wholeList(values, path, step) : selected(values, path, step)
  return after.length === 0 ? undefined : after
}

function wholeList(values: readonly unknown[], { attribute, sub }: PatchPath, { op, value }: Step): unknown[] {
  if (sub) return values.map((each) => withPart(each, sub, op === 'remove' ? undefined : value))
  // Entra removes members by naming them in the value and not in the path.
  if (op === 'remove' && value === undefined) return []
  const found = canonicalValue(attribute, value)
  const given = Array.isArray(found) ? found : []
  if (op === 'remove') return without(values, given)
  return op === 'replace' ? onePrimary([], given) : onePrimary(values, given)
}

function without(values: readonly unknown[], gone: readonly unknown[]): unknown[] {
  const keys = new Set(gone.map(keyOf))
  return values.filter((each) => !keys.has(keyOf(each)))
}

/** Values that are added to others; a new one that is primary takes the place of the one before (RFC 7644 §3.5.2). */
function onePrimary(values: readonly unknown[], added: readonly unknown[]): unknown[] {
  const known = new Map(values.map((each) => [keyOf(each), each]))
  for (const each of added) known.set(keyOf(each), each)
  const isPrimary = (each: unknown) => isDoc(each) && each['primary'] === true
  const primary = added.findLast(isPrimary)
  if (primary === undefined) return [...known.values()]
  return [...known.values()].map((each) =>
    isDoc(each) && each !== primary && isPrimary(each) ? { ...each, primary: false } : each,
  )
}

/** What makes a value of a list the same one: its value and its type, or all of it. */
function keyOf(value: unknown): string {
  if (!isDoc(value) || typeof value['value'] !== 'string') return JSON.stringify(value)
  const { value: text, type } = value
  return JSON.stringify([text, typeof type === 'string' && type !== 'User' ? type.toLowerCase() : null])
}

function selected(values: readonly unknown[], path: PatchPath, { op, value }: Step): unknown[] {
  const { attribute, sub, filter: text = '' } = path
  const filter = parseValueFilter(attribute, text)
  const isMeant = (each: unknown) => isDoc(each) && matches(filter, each)
  if (op === 'remove') {
    if (sub) return values.map((each) => (isMeant(each) ? withPart(each, sub, undefined) : each))
    return values.filter((each) => !isMeant(each))
  }
  const changed = values.map((each) => {
    if (!isMeant(each)) return each
    if (sub) return withPart(each, sub, value)
    const given = singleValue(attribute, value)
    return isDoc(each) && isDoc(given) ? { ...each, ...given } : given
  })
  if (values.some(isMeant)) return isDeepStrictEqual(changed, values) ? [...values] : changed
  // RFC 7644 §3.5.2.3.
  if (op === 'replace') throw new ScimError(400, 'noTarget', 'The path selects no value.')
  const made = newBy(filter)
  if (!made) throw new ScimError(400, 'noTarget', 'The path selects no value and does not say what a new one would be.')
  const given = sub ? withPart(made, sub, value) : { ...made, ...docOf(singleValue(attribute, value)) }
  return onePrimary(values, [given])
}

function docOf(value: unknown): Doc {
  return isDoc(value) ? value : {}
}

/** What a new value has, by what a filter asks of it: `type eq "work"`. */
function newBy(filter: Filter): Doc | undefined {
  if (filter.kind === 'and') {
    const [left, right] = [newBy(filter.left), newBy(filter.right)]
    return left && right && { ...left, ...right }
  }
  if (filter.kind !== 'compare' || filter.operator !== 'eq') return undefined
  return { [filter.on.attribute.name]: singleValue(filter.on.attribute, filter.value) }
}

function withPart(value: unknown, sub: Attribute, part: unknown): unknown {
  if (!isDoc(value)) return value
  const kept = part === undefined ? undefined : canonicalValue(sub, part)
  const { [sub.name]: _before, ...others } = value
  return kept === undefined ? others : { ...others, [sub.name]: kept }
}
