import { sql } from 'kysely'
import type { Db } from '../../../kernel/db.ts'
import type { TrustFacts } from './facts.ts'
import type { Batch } from './record.ts'
import { nextOf } from './next-of.ts'

const READ = sql`s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole",
  o.missed_at is null as "isPresent", greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt"`

/** Rules of trust that sources showed. */
export async function loadTrustFacts(db: Db, { after, limit, now }: Batch): Promise<TrustFacts[]> {
  const { rows } = await sql<Omit<TrustFacts, 'now'>>`
    with batch as materialized (${nextOf('observed_trust', { after, limit })})
    select o.id, left(o.native_id, 200) as name, null::uuid as "identityId", ${READ}, o.native_kind as "nativeKind", o.facts ->> 'method' as method,
           o.claims -> 'type' ->> 0 as connection, o.is_wildcard as "isWildcard", o.facts ->> 'where' as "where", o.issuer,
           array(select c.key from jsonb_each(coalesce(o.claims, '{}')) c where c.value <> '[]' and not c.value @> '["*"]' order by c.key) as claims,
           array(select jsonb_array_elements_text(case when jsonb_typeof(o.facts -> 'widens') = 'array' then o.facts -> 'widens' else '[]' end)) as widens,
           coalesce(o.facts @> '{"isBuiltIn": true}', false) as "isBuiltIn"
      from batch o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
     order by o.id`.execute(db)
  return rows.map((row) => ({ ...row, now }))
}
