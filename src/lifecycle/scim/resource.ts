import { invalidValue } from './error.ts'
import { named, type Attribute, type ResourceType, type Schema } from './schema.ts'

/** A resource as JSON, its names spelled as the schema spells them. */
export type Doc = Record<string, unknown>

const LONGEST_TEXT = 2_048
const MOST_VALUES = 100
/** Members of a group that one call may name. */
const MOST_MEMBERS = 20_000

export function isDoc(value: unknown): value is Doc {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value where the schema has it; of an extension inside its own object. */
export function valueAt(doc: Readonly<Doc>, extension: Schema | undefined, attribute: Attribute): unknown {
  const holder = extension ? doc[extension.id] : doc
  return isDoc(holder) ? holder[attribute.name] : undefined
}

/**
 * What a client sent, as it may be kept: names in their one spelling, booleans that came as text made booleans, what is read-only or unknown left
 * out (RFC 7644 §3.3 lets a server ignore it). Throws `invalidValue` for a value of the wrong kind.
 */
export function canonical(type: ResourceType, sent: unknown): Doc {
  if (!isDoc(sent)) throw invalidValue('A resource is a JSON object.')
  const doc = canonicalOf(type.attributes, sent)
  for (const extension of type.extensions) {
    const key = Object.keys(sent).find((each) => each.toLowerCase() === extension.id.toLowerCase())
    const value = key === undefined ? undefined : sent[key]
    if (value === undefined || value === null) continue
    if (!isDoc(value)) throw invalidValue('An extension is a JSON object.')
    const inner = canonicalOf(extension.attributes, value)
    if (Object.keys(inner).length > 0) doc[extension.id] = inner
  }
  return doc
}

function canonicalOf(attributes: readonly Attribute[], sent: Doc): Doc {
  const doc: Doc = {}
  for (const [key, value] of Object.entries(sent)) {
    const attribute = named(attributes, key)
    if (!attribute || attribute.mutability === 'readOnly') continue
    const kept = canonicalValue(attribute, value)
    if (kept !== undefined) doc[attribute.name] = kept
  }
  return doc
}

/** One value as it is kept; undefined for none (RFC 7643 §2.5: null and the empty list are as if it was not there). */
export function canonicalValue(attribute: Attribute, value: unknown): unknown {
  if (value === null || value === undefined) return undefined
  if (!attribute.multiValued) return singleValue(attribute, value)
  const values = Array.isArray(value) ? value : [value]
  const most = attribute.name === 'members' ? MOST_MEMBERS : MOST_VALUES
  if (values.length > most) throw invalidValue(`There are more than ${most} values.`)
  const kept = values.flatMap((each) => {
    const one = singleValue(attribute, each)
    return one === undefined ? [] : [one]
  })
  return kept.length === 0 ? undefined : kept
}

/** One element of a list, or the value of what is no list. */
export function singleValue(attribute: Attribute, value: unknown): unknown {
  switch (attribute.type) {
    case 'boolean':
      return booleanOf(value)
    case 'complex':
      return complexValue(attribute, value)
    case 'string':
    case 'reference':
    case 'dateTime':
    default:
      return textOf(value)
  }
}

/** Entra sends the manager, and some clients a member, as the bare id. */
function complexValue(attribute: Attribute, value: unknown): Doc | undefined {
  const whole = Array.isArray(value) && value.length === 1 && !attribute.multiValued ? value[0] : value
  const object = typeof whole === 'string' && named(attribute.subAttributes, 'value') ? { value: whole } : whole
  if (!isDoc(object)) throw invalidValue(`The value of ${attribute.name} is of another kind.`)
  const doc = canonicalOf(attribute.subAttributes ?? [], object)
  const isEmpty = Object.values(doc).every((each) => each === '')
  return isEmpty ? undefined : doc
}

/** Entra sends "True" and "False" where it is not told otherwise. */
function booleanOf(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  if (text !== 'true' && text !== 'false') throw invalidValue('A value should be true or false.')
  return text === 'true'
}

function textOf(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') throw invalidValue('A value should be a text.')
  if (text.length > LONGEST_TEXT) throw invalidValue('A text is too long.')
  return text
}

/** RFC 7644 §3.9: which attributes an answer holds. `id`, `schemas` and what else is always returned stays. */
export function projected(
  type: ResourceType,
  doc: Readonly<Doc>,
  { attributes, excluded }: { readonly attributes: readonly string[]; readonly excluded: readonly string[] },
): Doc {
  if (attributes.length > 0) return kept(type, doc, attributes)
  const out = structuredClone(doc)
  for (const text of excluded) drop(type, out, text)
  return out
}

function kept(type: ResourceType, doc: Readonly<Doc>, wanted: readonly string[]): Doc {
  const out: Doc = {}
  for (const { name, returned } of type.attributes) if (returned === 'always' && name in doc) out[name] = doc[name]
  for (const text of wanted) {
    const { holder, key, sub } = where(type, doc, text)
    if (!isDoc(holder) || holder[key] === undefined) continue
    const value = sub === undefined ? holder[key] : partsOf(holder[key], sub)
    const extension = type.extensions.find(({ id }) => doc[id] === holder)
    if (extension) out[extension.id] = merged(out[extension.id], { [key]: value })
    else out[key] = merged(out[key], value)
  }
  return out
}

function drop(type: ResourceType, doc: Doc, text: string): void {
  const { holder, key, sub } = where(type, doc, text)
  if (!isDoc(holder)) return
  const attribute = named(type.attributes, key)
  if (attribute?.returned === 'always') return
  if (sub === undefined) delete holder[key]
  else for (const each of [holder[key]].flat()) if (isDoc(each)) delete each[sub]
}

/** Where a name of an attribute leads in a document; an extension as a whole is an attribute of the document. */
function where(type: ResourceType, doc: Readonly<Doc>, text: string) {
  const folded = text.toLowerCase()
  const whole = type.extensions.find(({ id }) => id.toLowerCase() === folded)
  if (whole) return { holder: doc, key: whole.id, sub: undefined }
  const extension = type.extensions.find(({ id }) => folded.startsWith(`${id.toLowerCase()}:`))
  const prefix = folded.startsWith(`${type.schema.id.toLowerCase()}:`) ? type.schema.id.length + 1 : 0
  const [name = '', part] = text.slice(extension ? extension.id.length + 1 : prefix).split('.')
  const attribute = named(extension ? extension.attributes : type.attributes, name)
  const sub = part === undefined ? undefined : (named(attribute?.subAttributes, part)?.name ?? part)
  return { holder: extension ? doc[extension.id] : doc, key: attribute?.name ?? name, sub }
}

function partsOf(value: unknown, sub: string): unknown {
  if (Array.isArray(value)) return value.map((each) => partsOf(each, sub))
  return isDoc(value) ? { [sub]: value[sub] } : value
}

/** Two parts of one attribute, asked for by two names. */
function merged(before: unknown, next: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(next)) return next.map((each, at) => merged(before[at], each))
  return isDoc(before) && isDoc(next) ? { ...before, ...next } : next
}
