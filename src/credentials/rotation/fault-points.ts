import { reach } from '../../kernel/fault.ts'

/** Every step between which a process may die while it rotates a login, in order. */
export const ROTATION_FAULT_POINTS = [
  'rotation.claimed',
  'rotation.changed-upstream',
  'rotation.issued',
  'rotation.verified',
  'rotation.adopted',
  'rotation.proven',
  'rotation.dead',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachRotation(point: (typeof ROTATION_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
