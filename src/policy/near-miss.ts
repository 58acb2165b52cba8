import type { ActionConstraint, EntityUidJson, PrincipalConstraint } from '@cedar-policy/cedar-wasm/nodejs'
import type { Policy, PolicySet } from './policy-set.ts'
import { NAMESPACE } from './schema.ts'

/**
 * The permits whose scope fits a kind of principal and an action, so a deny can say what would have to hold. Reads scopes
 * only: whether their conditions could ever hold is not judged.
 */
export function couldPermit(set: PolicySet, principalType: string, action: string): Policy[] {
  const groups = set.schema.actionGroups.get(action)
  if (!groups) return []
  return [...set.policies.values()].filter(
    ({ effect, json }) =>
      effect === 'permit' && fitsPrincipal(json.principal, principalType) && fitsAction(json.action, groups),
  )
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
