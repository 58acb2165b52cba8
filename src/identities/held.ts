import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import { enrolledSql } from './entities.ts'
import { IDENTITY_COLUMNS } from './record.ts'

/**
 * The beginning of a statement: `held` are the records of these identities, which nobody changes until the transaction ends, with what else a
 * decision takes of them. Locked in the order of their ids, and each as it stands once it is locked. Skipping: without those that somebody else has locked.
 */
export function holdingIdentities(tx: Tx, ids: readonly string[], how: 'waiting' | 'skipping') {
  return tx.with(
    (cte) => cte('held').materialized(),
    (query) =>
      query
        .selectFrom('identity')
        .select(IDENTITY_COLUMNS)
        .select([
          enrolledSql(sql.ref('identity.id')).as('enrolled'),
          // Core 7, as `isBootstrap` has it.
          sql<boolean>`(select count(*) < 2
                          from (select from identity p where p.kind = 'human' and p.state = 'active' limit 2) people)`.as(
            'bootstrap',
          ),
        ])
        .where('id', '=', sql<string>`any(${[...new Set(ids)]}::uuid[])`)
        .orderBy('id')
        .forShare()
        .$if(how === 'skipping', (locked) => locked.skipLocked()),
  )
}
