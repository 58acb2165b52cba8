import { reach } from '../kernel/fault.ts'

/** The steps by which an entry comes into the tree: causes, observations, then the sequencer's round. */
export const LEDGER_FAULT_POINTS = [
  'ledger.recorded',
  'appender.before-write',
  'appender.written',
  'sequencer.leaves-written',
  'sequencer.tiles-written',
  'sequencer.before-commit',
  'sequencer.committed',
  'sequencer.kept',
] as const

/** Says that a step is done; see kernel/fault.ts. */
export function reachLedger(point: (typeof LEDGER_FAULT_POINTS)[number]): Promise<void> {
  return reach(point)
}
