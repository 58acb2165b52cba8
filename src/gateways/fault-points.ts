import { reach } from '../kernel/fault.ts'

/** What one connection goes through on its way to a session and out of it, each committed where it is reached. */
export const GATEWAY_FAULT_POINTS = [
  'gateway.subscribed',
  'gateway.use-reserved',
  'gateway.lease-ready',
  'gateway.session-opened',
  'gateway.session-running',
  'gateway.session-closed',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachGateway(point: (typeof GATEWAY_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
