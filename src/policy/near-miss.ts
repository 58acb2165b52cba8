import type { ActionConstraint, EntityUidJson, PrincipalConstraint } from '@cedar-policy/cedar-wasm/nodejs'
import type { Policy, PolicySet } from './policy-set.ts'
import { NAMESPACE } from './schema.ts'

/** Found before, by set; a set is immutable. */
const found = new WeakMap<PolicySet, Map<string, readonly Policy[]>>()

/** Kinds of principal times actions: a set that is asked about more than this is not asked by Reeve. */
const MAX_FOUND = 4096

/**
 * The permits whose scope fits a kind of principal and an action, so a deny can say what would have to hold. Reads scopes
 * only: whether their conditions could ever hold is not judged. Every decision asks, so the policies are looked through once
 * for each kind and action, however many there are.
 */
export function couldPermit(set: PolicySet, principalType: string, action: string): readonly Policy[] {
  const groups = set.schema.actionGroups.get(action)
  if (!groups) return []
  const ofSet = found.get(set) ?? new Map<string, readonly Policy[]>()
  const key = `${principalType}\n${action}`
  const known = ofSet.get(key)
  if (known) return known
  const fitting = [...set.policies.values()].filter(
    ({ effect, json }) =>
      effect === 'permit' && fitsPrincipal(json.principal, principalType) && fitsAction(json.action, groups),
  )
  if (ofSet.size < MAX_FOUND) found.set(set, ofSet.set(key, fitting))
  return fitting
}

function fitsPrincipal(scope: PrincipalConstraint, type: string): boolean {
  return scope.op !== 'is' || scope.entity_type === `${NAMESPACE}::${type}`
}

function fitsAction(scope: ActionConstraint, groups: ReadonlySet<string>): boolean {
  if (scope.op === 'All') return true
  const named = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : []
  return named.some((uid) => groups.has(idOf(uid)))
}

function idOf(uid: EntityUidJson): string {
  return '__entity' in uid ? uid.__entity.id : uid.id
}
