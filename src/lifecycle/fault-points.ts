import { reach } from '../kernel/fault.ts'

/** Between any two steps of a case: what was committed before is there, and the next look goes on from it. */
export const LIFECYCLE_FAULT_POINTS = ['lifecycle.stepping', 'lifecycle.stepped'] as const

export async function reachLifecycle(point: (typeof LIFECYCLE_FAULT_POINTS)[number]): Promise<void> {
  await reach(point)
}
