import { transact, type Db } from '../../kernel/db.ts'
import { sleep } from '../../kernel/timer.ts'
import type { AccessNeeds } from '../needs.ts'
import { dropHolds, makeHold, useHold, type Holding } from './hold.ts'

/** What came of waiting. Only `released` lets the operation run, once; else a sentence says why it does not. */
export type Waited = { readonly kind: 'released' } | { readonly kind: 'refused'; readonly sentence: string }

/** People take seconds at least; this is not what they wait for. */
const LOOK_MS = 250

type Telling = { readonly id: string; readonly expiresAt: Date; readonly missing: readonly string[] }

/**
 * Puts an operation before people and waits for them, no longer than its time. Whatever else ends the waiting, the abort of the signal
 * included, leaves nothing that could still be released. Rejects only where the database does; then nothing was spent here, and what
 * stays held runs out.
 */
export async function waitForRelease(
  needs: AccessNeeds & { readonly db: Db },
  holding: Holding,
  onHeld: (told: Telling) => void,
  signal: AbortSignal,
): Promise<Waited> {
  const { db } = needs
  const made = await transact(db, (tx) => makeHold(tx, needs, holding))
  if (made.kind === 'refused') return made
  const { id, expiresAt } = made
  onHeld(made)
  while (!signal.aborted && needs.clock.now() < expiresAt) {
    const { state, refusal } = await db
      .selectFrom('heldOperation')
      .select(['state', 'refusal'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    if (state === 'released') {
      if (await transact(db, (tx) => useHold(tx, needs, id))) return { kind: 'released' }
      break
    }
    if (state !== 'held') return { kind: 'refused', sentence: refusal ?? `It is ${state}.` }
    await sleep(LOOK_MS, signal).catch(() => undefined)
  }
  const why = signal.aborted ? 'The session did not wait for it.' : 'Nobody released it in time.'
  await transact(db, (tx) => dropHolds(tx, needs, { id }, why))
  return { kind: 'refused', sentence: why }
}
