import { reach } from '../../kernel/fault.ts'

/** Each step between a proposal and the moment it decides on this node. */
export const POLICY_FAULT_POINTS = ['policy.version-stored', 'policy.activated', 'policy.swapping'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachPolicy(point: (typeof POLICY_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
