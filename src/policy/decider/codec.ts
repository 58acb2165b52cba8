import { z } from 'zod'
import { Instant, isInstant } from '../../kernel/instant.ts'
import { linked, linkTo, type Entity, type PolicyValue } from '../../kernel/entity.ts'
import type { Found } from '../authzen/facts.ts'

/**
 * Facts as JSON. Every value says of what kind it is, so that nothing in the data can pass for another kind: a text that looks like a link
 * stays a text.
 */
type Packed =
  | string
  | number
  | boolean
  | { readonly at: string }
  | { readonly link: readonly [type: string, id: string] }
  | { readonly list: readonly Packed[] }
  | { readonly record: readonly (readonly [name: string, value: Packed])[] }

const Packed: z.ZodType<Packed> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.strictObject({ at: z.iso.datetime() }),
    z.strictObject({ link: z.tuple([z.string(), z.string()]) }),
    z.strictObject({ list: z.array(Packed) }),
    z.strictObject({ record: z.array(z.tuple([z.string(), Packed])) }),
  ]),
)

function pack(value: PolicyValue): Packed {
  if (typeof value !== 'object') return value
  if (isInstant(value)) return { at: value.toISOString() }
  const to = linked(value)
  if (to) return { link: [to.type, to.id] }
  if (isList(value)) return { list: value.map(pack) }
  return { record: Object.entries(value).map(([name, member]) => [name, pack(member)] as const) }
}

function isList(value: object): value is readonly PolicyValue[] {
  return Array.isArray(value)
}

function unpack(packed: Packed): PolicyValue {
  if (typeof packed !== 'object') return packed
  if ('at' in packed) return Instant.parse(packed.at)
  if ('link' in packed) return linkTo(...packed.link)
  if ('list' in packed) return packed.list.map(unpack)
  return recordOf(packed.record)
}

function recordOf(members: readonly (readonly [name: string, value: Packed])[]): Record<string, PolicyValue> {
  return Object.fromEntries(members.map(([name, value]) => [name, unpack(value)]))
}

const Ref = z.object({ type: z.string(), id: z.string() })
const PackedEntity = Ref.extend({ attributes: z.array(z.tuple([z.string(), Packed])), parents: z.array(Ref) })
const PackedFound = z.object({
  ref: Ref,
  entities: z.array(PackedEntity),
  isRecord: z.boolean(),
  proof: z.enum(['token', 'bound-token', 'mtls', 'spiffe', 'kubernetes', 'oidc', 'dpop', 'passkey']).optional(),
  place: z.object({ target: z.string(), environment: z.string() }).optional(),
  targetId: z.string().optional(),
})
type PackedFound = z.output<typeof PackedFound>

export function packFound({ entities, ref, isRecord, proof, place, targetId }: Found): PackedFound {
  return {
    ref,
    isRecord,
    entities: entities.map(({ type, id, attributes, parents = [] }) => ({
      type,
      id,
      attributes: Object.entries(attributes).map(([name, value]): [string, Packed] => [name, pack(value)]),
      parents: parents.map((parent) => ({ type: parent.type, id: parent.id })),
    })),
    ...(proof !== undefined && { proof }),
    ...(place && { place: { ...place } }),
    ...(targetId !== undefined && { targetId }),
  }
}

/** Throws for what is none. */
export function unpackFound(json: unknown): Found {
  const { entities, proof, place, targetId, ...rest } = PackedFound.parse(json)
  return {
    ...rest,
    entities: entities.map(({ attributes, ...entity }): Entity => ({ ...entity, attributes: recordOf(attributes) })),
    ...(proof !== undefined && { proof }),
    ...(place && { place }),
    ...(targetId !== undefined && { targetId }),
  }
}

export function packValue(value: PolicyValue): Packed {
  return pack(value)
}

/** Throws for what is none. */
export function unpackValue(json: unknown): PolicyValue {
  return unpack(Packed.parse(json))
}
