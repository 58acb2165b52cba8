import type { z } from 'zod'
import { classificationOf } from '../kernel/event.ts'
import { isInstant } from '../kernel/instant.ts'
import type { Random } from '../kernel/random.ts'
import type { Fact } from './ledger.ts'
import { canonicalBytes, type CanonicalValue } from './tree/canonical.ts'
import { commitmentField, SALT_BYTES } from './tree/commitment.ts'

/** What opens one commitment of a leaf. */
export type Opening = { readonly field: string; readonly salt: Buffer; readonly value: string }

/** The exact bytes of a fact (core 11): public fields as they are, personal ones as salted commitments, everything else left out. */
export function leafOf<Shape extends z.ZodRawShape>(
  random: Random,
  fact: Fact<Shape>,
  at: Date,
): { bytes: Buffer; openings: Opening[] } {
  const openings: Opening[] = []
  const facts: Record<string, CanonicalValue> = {}
  const given: Record<string, unknown> = fact.facts
  for (const [field, schema] of Object.entries(fact.event.facts.shape)) {
    const value = given[field]
    if (value === undefined) continue
    const classification = classificationOf(schema)
    if (classification === 'public') facts[field] = plain(value)
    else if (classification === 'personal' && value !== null) facts[field] = committed(random, openings, field, value)
    else facts[field] = value === null ? null : '[secret]'
  }
  const bytes = canonicalBytes({
    v: 1,
    kind: fact.event.kind,
    at: at.toISOString(),
    actor: { id: fact.actor.id, kind: fact.actor.kind },
    onBehalfOf: [...(fact.onBehalfOf ?? [])],
    action: fact.action ?? null,
    resource: { type: fact.resource.type, id: fact.resource.id },
    grant: fact.grantId ?? null,
    purpose: fact.purpose ?? null,
    ticket: fact.ticket ?? null,
    decision: fact.decision ? { id: fact.decision.id, policyVersion: fact.decision.policyVersion } : null,
    outcome: fact.outcome,
    facts,
  })
  return { bytes, openings }
}

function committed(random: Random, openings: Opening[], field: string, value: unknown): CanonicalValue {
  const salt = random.bytes(SALT_BYTES)
  const text = typeof value === 'string' ? value : canonicalBytes(plain(value)).toString('utf8')
  openings.push({ field, salt, value: text })
  return commitmentField(salt, text)
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
