import { reach } from '../../kernel/fault.ts'

/** Every step between which a process may die while it puts all that is sealed under another root key, in order. */
export const CUSTODY_FAULT_POINTS = [
  'custody.next-made',
  'custody.column-done',
  'custody.all-under-next',
  'custody.generation-known',
] as const

/** Where a process may die while a value is put or told to somebody: it is written, and neither committed nor told. */
export const DEPOSIT_FAULT_POINTS = ['custody.put', 'custody.known'] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachCustody(
  point: (typeof CUSTODY_FAULT_POINTS)[number] | (typeof DEPOSIT_FAULT_POINTS)[number],
): Promise<void> {
  return reach(point)
}
