import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'

/**
 * Has the database count what a reading made grow, as it does by itself a minute later: what is looked for until then is planned as if the tables were
 * small, and takes a hundred times as long. How many tables were counted.
 */
export async function refreshStatistics(db: Db): Promise<number> {
  const { rows } = await sql<{ made: number }>`select refresh_statistics() as made`.execute(db)
  return rows[0]?.made ?? 0
}

/** Throws away what readings left behind beside the inventory, where that is much and nobody reads now. Whether it did. */
export async function emptyStages(db: Db): Promise<boolean> {
  const { rows } = await sql<{ isEmpty: boolean }>`select empty_stages() as "isEmpty"`.execute(db)
  return rows[0]?.isEmpty ?? false
}
