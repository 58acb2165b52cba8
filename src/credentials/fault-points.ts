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

/** Says that a step is done; see kernel/fault.ts. */
export function reachLease(point: (typeof LEASE_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
