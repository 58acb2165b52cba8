import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'

/**
 * At start: every entry and segment of the recent past has its leaf or waits for it. The triggers see to that, so what is found here was
 * taken out of the queue by somebody; it is put back and told. Returns how many there were.
 */
export async function settle(db: Db, log: Log): Promise<number> {
  const { rows } = await sql<{ requeued: number }>`select ledger_requeue() as requeued`.execute(db)
  const requeued = rows[0]?.requeued ?? 0
  if (requeued > 0) log.error({ requeued }, 'entries of the ledger had been taken out of the queue; they are back')
  return requeued
}
