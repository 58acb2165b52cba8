import { reach } from '../kernel/fault.ts'

/** The steps of a session and its recording, in order; the rows are not committed yet where they are reached. */
export const SESSION_FAULT_POINTS = [
  'session.opened',
  'session.header-written',
  'session.finished',
  'session.closed',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachSession(point: (typeof SESSION_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
