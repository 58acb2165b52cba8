import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { linked, type PolicyValue } from '../../kernel/entity.ts'
import { isInstant } from '../../kernel/instant.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import type { Resource } from '../../kernel/http/route.ts'
import type { Decision } from '../../policy/policy.ts'
import { owedOf } from '../bound.ts'

/** A value as JSON has it, for keeping and for hashing. */
type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/**
 * Rule 8: the hash of everything that approvers are shown of a call, of all of its input, and of the policies that decided (core 6: not of the
 * whole set). The input is in it by a salted digest, since approvers see the hash and may not guess what they are not shown.
 */
export function boundOf(bound: {
  readonly asked: AskedCall
  readonly salt: Buffer
  readonly reason: string
  readonly resource: Resource
  readonly context: Readonly<Record<string, PolicyValue>>
  readonly preview: readonly string[]
  readonly simulation: readonly string[]
  readonly owners: { readonly target: string | null; readonly subject: string | null }
  readonly tiedIds: readonly string[]
  readonly decision: Decision
}): Buffer {
  const { asked, resource, decision } = bound
  const { caller } = asked.call
  return sha256(
    canonicalJson({
      v: 1,
      operation: asked.route.operation.id,
      subject: { id: caller.id, kind: caller.kind, proof: caller.proof },
      resource: {
        type: resource.type,
        id: resource.id,
        facts: factsOf(resource),
        parents: (resource.parents ?? []).map(({ type, id }) => `${type} ${id}`),
      },
      params: asked.wire.params,
      query: asked.wire.query,
      inputSha256: inputSha256(asked.wire.input, bound.salt),
      reason: bound.reason,
      context: jsonOf(bound.context),
      preview: bound.preview,
      simulation: bound.simulation,
      owners: bound.owners,
      tiedIds: bound.tiedIds,
      obligations: owedOf(decision.obligations),
      policies: policiesOf(decision),
    }),
  )
}

/** The policies that determined a decision, in order. */
export function policiesOf({ policies }: Decision): { id: string; sha256: string }[] {
  return policies.map(({ id, sha256: hash }) => ({ id, sha256: hash })).sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** What policies are told of a resource, as JSON. */
export function factsOf({ attributes }: Resource): { readonly [key: string]: Json } {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, jsonOf(value)]))
}

function inputSha256(input: unknown, salt: Buffer): string {
  return sha256(Buffer.concat([salt, Buffer.from(canonicalJson(input ?? null), 'utf8')])).toString('hex')
}

function jsonOf(value: PolicyValue | Readonly<Record<string, PolicyValue>>): Json {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  if (isInstant(value)) return value.toISOString()
  const link = linked(value)
  if (link) return `${link.type} ${link.id}`
  if (isList(value)) return value.map(jsonOf)
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, jsonOf(member)]))
}

function isList(value: object): value is readonly PolicyValue[] {
  return Array.isArray(value)
}
