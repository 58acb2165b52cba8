import { z } from 'zod'

/** How a field may be shown: `public` anywhere, `personal` sealed per subject, `secret` nowhere. Unclassified counts as secret (rule 12). */
export type Classification = 'public' | 'personal' | 'secret'

/** A kind of ledger entry: what is said of it beside who, on what and when. */
export type EventKind<Shape extends z.ZodRawShape = z.ZodRawShape> = {
  readonly kind: string
  readonly summary: string
  readonly facts: z.ZodObject<Shape>
}

/** Declares an event. `kind` is `<noun>.<past-tense>`; every field of `facts` carries its classification. */
export function event<Shape extends z.ZodRawShape>(kind: string, summary: string, facts: Shape): EventKind<Shape> {
  return { kind, summary, facts: z.object(facts) }
}

/** A schema whose values may stand in an entry as they are. */
export function shown<T extends z.ZodType>(schema: T): T {
  return schema.meta({ classification: 'public' })
}

/** A schema whose values belong to a person: entries hold a salted commitment, the value is sealed under the subject's key. */
export function personal<T extends z.ZodType>(schema: T): T {
  return schema.meta({ classification: 'personal' })
}

/** The classification of a schema, looking through optional, nullable, default and arrays. */
export function classificationOf(schema: z.core.$ZodType): Classification {
  const named = z.globalRegistry.get(schema)?.classification
  if (named === 'public' || named === 'personal') return named
  if (schema instanceof z.ZodArray) return classificationOf(schema.element)
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return classificationOf(schema.def.innerType)
  }
  return 'secret'
}
