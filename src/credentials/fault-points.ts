import { reach } from '../kernel/fault.ts'

/** Every step between which a process may die while it makes or ends a credential, in order. */
export const LEASE_FAULT_POINTS = [
  'lease.announced',
  'lease.created-upstream',
  'lease.issued',
  'lease.end-claimed',
  'lease.nologin',
  'lease.terminated',
  'lease.reassigned',
  'lease.dropped',
  'lease.proven',
  'lease.dead',
] as const

/** Reached only where a target chooses the secret, so that something has to be noted before. */
export const KEPT_FAULT_POINTS = ['lease.kept'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachLease(
  point: (typeof LEASE_FAULT_POINTS)[number] | (typeof KEPT_FAULT_POINTS)[number],
): Promise<void> {
  return reach(point)
}
