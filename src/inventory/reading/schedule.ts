import { conflict } from '../../kernel/problem.ts'
import type { Db } from '../../kernel/db.ts'
import type { InventoryNeeds } from '../needs.ts'
import { ON_SCHEDULE } from './reading.ts'
import { collectSource } from './reconcile.ts'

/** Reads what is due, one source after the other. Who finds that another node reads it already goes on to the next. */
export async function collectDue(db: Db, needs: InventoryNeeds, signal: AbortSignal): Promise<number> {
  const due = await db
    .selectFrom('source')
    .select('id')
    .where('state', '=', 'active')
    .where('nextReadAt', '<=', needs.clock.now())
    .orderBy('nextReadAt')
    .limit(100)
    .execute()
  let read = 0
  for (const { id } of due) {
    signal.throwIfAborted()
    try {
      await collectSource(db, needs, id, ON_SCHEDULE, { signal })
      read += 1
    } catch (error) {
      if (!conflict.is(error)) throw error
    }
  }
  return read
}
