import { sql } from 'kysely'
import type { Batch } from './record.ts'

/**
 * What comes next of a table of the inventory, in the order of its ids: what is there, and what is not but has something open. Of a source that was
 * retired nothing more is learnt. Read along the ids and nowhere else: a condition on the scope that an index could serve has all of the table read
 * and sorted for each batch, and so has `limit` behind a join.
 */
export function nextOf(table: 'observed_credential' | 'observed_trust', { after, limit }: Omit<Batch, 'now'>) {
  return sql`
    select o.* from ${sql.table(table)} o
     where o.id > ${after}
       and (o.scope_id = any (array(
             select c.id from source_scope c join source s on s.id = c.source_id where s.state = 'active'))) is true
       and (o.gone_at is null or (select true from finding f where f.subject_id = o.id and f.state <> 'fixed' limit 1))
     order by o.id limit ${limit}`
}
