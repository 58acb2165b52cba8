import type { z } from 'zod'
import { classificationOf, type Classification } from '../kernel/event.ts'
import { isInstant } from '../kernel/instant.ts'
import type { Random } from '../kernel/random.ts'
import type { Fact } from './fact.ts'
import { canonicalText, DEPTH_MAX, type CanonicalValue } from './tree/canonical.ts'
import { commitmentField, SALT_BYTES } from './tree/commitment.ts'
import { ENTRY_MAX_BYTES } from './tree/hash.ts'

/** What opens one commitment of a leaf. */
export type Opening = { readonly field: string; readonly salt: Buffer; readonly value: string }

export type LeafText = { readonly text: string; readonly openings: readonly Opening[] }

/** The exact bytes of a fact (core 11): public fields as they are, personal ones as salted commitments, everything else left out. */
export function leafOf<Shape extends z.ZodRawShape>(
  random: Random,
  fact: Fact<Shape>,
  at: Date,
): { bytes: Buffer; openings: readonly Opening[] } {
  const { text, openings } = leafText(random, fact, at)
  const bytes = Buffer.from(text)
  if (bytes.length > ENTRY_MAX_BYTES) throw new RangeError(`A ${fact.event.kind} of ${bytes.length} bytes is no leaf.`)
  return { bytes, openings }
}

/**
 * The same as text. Written member by member in canonical order (RFC 8785), since every operation of every session passes here;
 * a property test holds it to the general encoder.
 */
export function leafText<Shape extends z.ZodRawShape>(random: Random, fact: Fact<Shape>, at: Date): LeafText {
  const openings: Opening[] = []
  const { actor, decision, resource } = fact
  const decided = decision ? `{"id":${quoted(decision.id)},"policyVersion":${quoted(decision.policyVersion)}}` : 'null'
  const behalf = fact.onBehalfOf === undefined || fact.onBehalfOf.length === 0 ? '' : fact.onBehalfOf.map(quoted).join()
  const text =
    `{"action":${orNull(fact.action)},"actor":{"id":${orNull(actor.id)},"kind":"${actor.kind}"},` +
    `"at":"${at.toISOString()}","decision":${decided},"facts":${factsText(random, fact, openings)},` +
    `"grant":${orNull(fact.grantId)},"kind":${quoted(fact.event.kind)},"onBehalfOf":[${behalf}],` +
    `"outcome":"${fact.outcome}","purpose":${orNull(fact.purpose)},` +
    `"resource":{"id":${quoted(resource.id)},"type":${quoted(resource.type)}},"ticket":${orNull(fact.ticket)},"v":1}`
  return { text, openings }
}

type PlannedField = { readonly name: string; readonly key: string; readonly classification: Classification }

// Looking a classification up costs more than writing the leaf, and a kind of event is declared once.
const plans = new WeakMap<object, readonly PlannedField[]>()

function planOf(facts: z.ZodObject): readonly PlannedField[] {
  const known = plans.get(facts)
  if (known) return known
  const plan = Object.entries(facts.shape)
    .map(([name, schema]) => ({ name, key: canonicalText(name), classification: classificationOf(schema) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  plans.set(facts, plan)
  return plan
}

function factsText<Shape extends z.ZodRawShape>(random: Random, fact: Fact<Shape>, openings: Opening[]): string {
  const given: Record<string, unknown> = fact.facts
  let text = '{'
  for (const { name, key, classification } of planOf(fact.event.facts)) {
    const value = given[name]
    if (value === undefined) continue
    if (text.length > 1) text += ','
    text += `${key}:`
    if (value === null) text += 'null'
    else if (classification === 'public') text += publicText(value)
    else if (classification === 'personal') text += canonicalText(committed(random, openings, name, value))
    else text += '"[secret]"'
  }
  return `${text}}`
}

function publicText(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return writtenText(value, 0)
}

function orNull(text: string | null | undefined): string {
  return text === null || text === undefined ? 'null' : quoted(text)
}

// RFC 8785 §3.2.2.2 is what JSON.stringify does, except for lone surrogates, which have no UTF-8.
function quoted(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('A canonical string is well-formed Unicode.')
  return JSON.stringify(text)
}

function committed(random: Random, openings: Opening[], field: string, value: unknown): CanonicalValue {
  const salt = random.bytes(SALT_BYTES)
  const text = typeof value === 'string' ? value : canonicalText(plain(value))
  openings.push({ field, salt, value: text })
  return commitmentField(salt, text)
}

/** `canonicalText(plain(value))` in one go; what stands outside of that is left to the two, which say so. */
function writtenText(value: unknown, depth: number): string {
  if (typeof value === 'string') return quoted(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (depth > DEPTH_MAX) throw new TypeError('A canonical value is not nested this deep.')
  if (typeof value !== 'object' || isInstant(value) || value instanceof Uint8Array) {
    return canonicalText(plain(value))
  }
  let text = ''
  if (Array.isArray(value)) {
    for (const each of value) text += `${text === '' ? '' : ','}${writtenText(each, depth + 1)}`
    return `[${text}]`
  }
  const members = new Map(Object.entries(value))
  for (const name of [...members.keys()].sort()) {
    const member = members.get(name)
    if (member !== undefined) text += `${text === '' ? '' : ','}${quoted(name)}:${writtenText(member, depth + 1)}`
  }
  return `{${text}}`
}

/** A value as canonical JSON has it: instants as RFC 3339 text, bytes in hexadecimal, fractions as text. */
function plain(value: unknown): CanonicalValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : String(value)
  if (isInstant(value)) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, part]) => (part === undefined ? [] : [[name, plain(part)]])),
    )
  }
  throw new Error(`a fact cannot hold a ${typeof value}`)
}

/** Whether a kind of event has fields that belong to a person, so that its entries need rows of their own for what opens them. */
export function hasPersonal(facts: z.ZodObject): boolean {
  return planOf(facts).some(({ classification }) => classification === 'personal')
}
