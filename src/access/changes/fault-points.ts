import { reach } from '../../kernel/fault.ts'

/** Every move of a change, each before its commit. */
export const CHANGE_FAULT_POINTS = ['change.stored', 'change.approval-stored', 'change.used'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachChange(point: (typeof CHANGE_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
