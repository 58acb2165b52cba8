import { ScimError } from './error.ts'
import { named, type Attribute, type ResourceType, type Schema } from './schema.ts'

/** Where an attribute is in a resource: of which extension, which attribute, which part of it. */
export type Place = {
  readonly extension: Schema | undefined
  readonly attribute: Attribute
  readonly sub: Attribute | undefined
}

/** RFC 7644 §3.10: `title`, `name.givenName`, `urn:…:User:department`. Undefined for what the type does not have. */
export function placeOf(type: ResourceType, text: string): Place | undefined {
  const { extension, rest } = withoutUrn(type, text)
  const [name = '', part, ...more] = rest.split('.')
  if (more.length > 0) return undefined
  const attribute = named(extension ? extension.attributes : type.attributes, name)
  if (!attribute) return undefined
  if (part === undefined) return { extension, attribute, sub: undefined }
  const sub = named(attribute.subAttributes, part)
  return sub && { extension, attribute, sub }
}

/** The longest schema that the text begins with is meant; its own URN holds dots and colons. */
function withoutUrn(type: ResourceType, text: string): { extension: Schema | undefined; rest: string } {
  const folded = text.toLowerCase()
  for (const schema of [...type.extensions, type.schema]) {
    if (folded.startsWith(`${schema.id.toLowerCase()}:`)) {
      return { extension: schema === type.schema ? undefined : schema, rest: text.slice(schema.id.length + 1) }
    }
  }
  return { extension: undefined, rest: text }
}

/** The extension that a text names as a whole. */
export function extensionNamed(type: ResourceType, text: string): Schema | undefined {
  const folded = text.toLowerCase()
  return type.extensions.find(({ id }) => id.toLowerCase() === folded)
}

export type PatchPath = Place & { readonly filter: string | undefined }

const LONGEST_PATH = 2_000

/** RFC 7644 §3.5.2: `attr`, `attr.sub`, `attr[filter]`, `attr[filter].sub`. Throws `invalidPath`. */
export function patchPath(type: ResourceType, text: string): PatchPath {
  const open = text.indexOf('[')
  if (text.length > LONGEST_PATH) throw invalidPath('The path is too long.')
  if (open === -1) {
    const place = placeOf(type, text)
    if (!place) throw invalidPath('The path names no attribute of the resource.')
    return { ...place, filter: undefined }
  }
  const close = text.lastIndexOf(']')
  const tail = text.slice(close + 1)
  if (close < open || (tail !== '' && !tail.startsWith('.'))) throw invalidPath('The path is not well-formed.')
  const place = placeOf(type, text.slice(0, open) + tail)
  if (!place || !place.attribute.multiValued || !place.attribute.subAttributes) {
    throw invalidPath('The path selects from what is no list of values.')
  }
  return { ...place, filter: text.slice(open + 1, close) }
}

function invalidPath(detail: string): ScimError {
  return new ScimError(400, 'invalidPath', detail)
}
