import type { ActionConstraint, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs'
import { mayOpenByItself } from './approval-grammar.ts'
import type { Obligations } from './obligations.ts'
import type { PolicySchema } from './schema.ts'

/**
 * Why a gate would never open where its policy applies; undefined when it could. An operation of Reeve is put before people, or runs: it has no risk
 * of an act at a target, and no ticket is verified for it, so `auto` there would be a gate that looks like a way and is none.
 */
export function gateFault(
  scope: ActionConstraint,
  { approval }: Pick<Obligations, 'approval'>,
  schema: PolicySchema,
): string | undefined {
  if (!approval.some(mayOpenByItself) || !isOfOperationsOnly(scope, schema)) return undefined
  return 'an operation of Reeve has no risk and no ticket is verified for it, so "auto" would never open here; name people'
}

function isOfOperationsOnly(scope: ActionConstraint, { actionGroups }: PolicySchema): boolean {
  if (scope.op === 'All') return false
  const uids = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : []
  const named = uids.map(idOf)
  const concerned = [...actionGroups.values()].filter((groups) => named.some((name) => groups.has(name)))
  return concerned.length > 0 && concerned.every((groups) => groups.has('operation'))
}

function idOf(uid: EntityUidJson): string {
  return '__entity' in uid ? uid.__entity.id : uid.id
}
