import { reach } from '../../kernel/fault.ts'

/** Every move of a held operation, each before its commit. */
export const HOLD_FAULT_POINTS = ['hold.made', 'hold.released', 'hold.used'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachHold(point: (typeof HOLD_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
