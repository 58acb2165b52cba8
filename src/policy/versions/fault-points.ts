import { reach } from '../../kernel/fault.ts'

/** Each step between a proposal and the moment it decides on this node. */
export const RULE_FAULT_POINTS = ['rules.version-stored', 'rules.activated', 'rules.swapping'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachRules(point: (typeof RULE_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
