import { sql } from 'kysely'
import type { Db } from '../../../kernel/db.ts'

/** Whether there is a source, and each was last seen whole; whether one of them is a store of secrets. */
export async function readWhole(db: Db): Promise<{ readonly isAllWhole: boolean; readonly isStoreRead: boolean }> {
  const { rows } = await sql<{ isAllWhole: boolean; isStoreRead: boolean }>`
    select exists (select from source where state = 'active') and not exists (
             select from source s left join source_scope c on c.source_id = s.id and c.state = 'active'
              where s.state = 'active'
                and (c.id is null or s.problem is not null or c.status is null or c.status not in ('complete', 'unchanged') or c.missing <> '[]'))
             as "isAllWhole",
           exists (select from observed_credential k where k.held_by = 'vault' and k.gone_at is null) as "isStoreRead"`.execute(
    db,
  )
  return rows[0] ?? { isAllWhole: false, isStoreRead: false }
}
