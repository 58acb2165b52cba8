import { reach } from '../kernel/fault.ts'

/** Where a process may die while it issues a token: it is signed and nobody knows of it, and it is entered and not committed. */
export const TOKEN_FAULT_POINTS = ['token.signed', 'token.entered'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachToken(point: (typeof TOKEN_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
