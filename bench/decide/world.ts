/** Policies, entities and questions of the measurement of the engine, of any size. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entity } from '../../src/policy/entity.ts'
import type { EvaluationRequest } from '../../src/policy/evaluate.ts'
import { buildPolicySet, type PolicySet } from '../../src/policy/policy-set.ts'
import { buildSchema } from '../../src/policy/schema.ts'

/** Roles in scopes, five terms in each condition, and one forbid for everybody. */
export function policySet(count: number): PolicySet {
  const base = readFileSync(join(import.meta.dirname, '../../policies/schema.cedarschema'), 'utf8')
  const actions = ['read', 'change', 'admin'].map((name) => ({
    name: `postgres.${name}`,
    groups: [`privileged.${name}`],
    resources: ['Target', 'Account'],
  }))
  const policies = Array.from(
    { length: count - 1 },
    (_, at) => `
      @id("role-${at}")
      permit (principal in Reeve::Team::"team-${at}", action in Reeve::Action::"privileged.read", resource is Reeve::Target)
      when {
        principal.state == "active" && resource.tier >= principal.tier && resource.environment == "production" &&
        context.now < datetime("2030-01-01") && (context has ticket && context.ticket like "OPS-*")
      };`,
  )
  const forbid =
    '@id("freeze") forbid (principal, action, resource) when { context.freeze && resource has environment };'
  return buildPolicySet([{ name: 'bench.cedar', text: [forbid, ...policies].join('\n') }], buildSchema(base, actions))
}

/** One target; teams of the policies; people, each in one of these teams. */
export function entitiesOf(count: number, policies: number): Entity[] {
  const target: Entity = {
    type: 'Target',
    id: 'orders',
    attributes: {
      id: 'orders',
      name: 'orders',
      kind: 'postgres',
      environment: 'production',
      sensitivity: 'high',
      tier: 2,
    },
  }
  const people = Array.from({ length: count - 2 }, (_, at): Entity => {
    const id = `person-${at}`
    const named = { id, name: id, profile: 'person', ownerState: 'attested', proof: 'passkey', isFounder: false }
    return {
      type: 'Person',
      id,
      attributes: { ...named, tier: 1, state: at % 4 === 3 ? 'suspended' : 'active' },
      parents: [{ type: 'Team', id: `team-${(at * 97) % (policies - 1)}` }],
    }
  })
  return [target, { type: 'Team', id: 'team-0', attributes: {} }, ...people]
}

export function questionOf(at: number, entities: readonly Entity[]): EvaluationRequest {
  const context = {
    now: new Date('2026-02-03T10:00:00Z'),
    channel: 'gateway',
    requestKind: 'ordinary',
    freeze: at % 8 === 7,
    bootstrap: false,
    reasonGiven: true,
    ticket: at % 3 === 2 ? 'INC-1' : 'OPS-1234',
  }
  return {
    principal: { type: 'Person', id: `person-${at % (entities.length - 2)}` },
    action: at % 16 === 15 ? 'postgres.change' : 'postgres.read',
    resource: { type: 'Target', id: 'orders' },
    context,
    entities,
  }
}
