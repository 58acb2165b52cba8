import type { Tx } from '../../kernel/db.ts'

/** Operations of one session that were refused, or would have been where the target does not enforce. */
export type RefusalCount = {
  readonly action: string
  readonly outcome: 'refused' | 'would-refuse'
  readonly count: number
}

/** Keeps what a session was refused, with the entry that closes it. */
export async function keepRefusals(
  tx: Tx,
  closed: { readonly useId: string; readonly cause: number; readonly counts: readonly RefusalCount[] },
): Promise<void> {
  const { useId, cause, counts } = closed
  if (counts.length === 0) return
  await tx
    .insertInto('useRefusal')
    .values(counts.map(({ action, outcome, count }) => ({ useId, action, outcome, count, cause })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
