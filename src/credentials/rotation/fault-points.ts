import { reach } from '../../kernel/fault.ts'

/** Every step between which a process may die while it rotates a login, in order; the last two while it backs out, and `slot-made` where the target makes the secret. */
export const ROTATION_FAULT_POINTS = [
  'rotation.claimed',
  'rotation.slot-made',
  'rotation.changed-upstream',
  'rotation.issued',
  'rotation.verified',
  'rotation.distributed',
  'rotation.told',
  'rotation.adopted',
  'rotation.disabled-upstream',
  'rotation.disabled',
  'rotation.soaking',
  'rotation.revoked-upstream',
  'rotation.revoked',
  'rotation.proven',
  'rotation.dead',
  'rotation.undone-upstream',
  'rotation.aborted',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachRotation(point: (typeof ROTATION_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
