import { reach } from '../kernel/fault.ts'

/** Every move between a request and the end of its grant, each before its commit. */
export const ACCESS_FAULT_POINTS = [
  'access.request-stored',
  'access.approval-stored',
  'access.grant-made',
  'access.proof-issued',
  'access.use-reserved',
  'access.use-begun',
  'access.use-released',
  'access.use-closed',
  'access.grant-ended',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachAccess(point: (typeof ACCESS_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
