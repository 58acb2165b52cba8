import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import type { CredentialFacts, TrustFacts } from './facts.ts'
import type { Batch } from './load-record.ts'
import { nextOf } from './next-of.ts'

const NAMED = 10

const READ = sql`s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole",
  o.missed_at is null as "isPresent", greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt"`

/** Credentials that sources showed, with who else shows the same secret. What was only missed still counts among those. */
export async function loadCredentialFacts(db: Db, { after, limit, now }: Batch): Promise<CredentialFacts[]> {
  const isAllWhole = await isEverySourceWhole(db)
  const codeRead = await codeReadOf(db)
  const { rows } = await sql<Omit<CredentialFacts, 'now' | 'isAllWhole' | 'codeRead'>>`
    with batch as materialized (${nextOf('observed_credential', { after, limit })})
    select o.id, o.name, a.identity_id as "identityId", ${READ}, o.type, o.state, o.created_at as "createdAt", o.rotated_at as "rotatedAt",
           o.expires_at as "expiresAt", o.never_expires as "neverExpires", o.strength, o.strength_why as "strengthWhy",
           coalesce(cardinality(o.fingerprints), 0) > 0 as "hasFingerprint",
           coalesce(same.holders[1:${sql.lit(NAMED)}], '{}') as holders, coalesce(same.environments, '{}') as environments,
           o.held_by as "heldBy", (o.facts -> 'isInNewest') = 'true'::jsonb as "isInNewest", o.facts ->> 'confidence' as confidence,
           coalesce(same.in_code[1:${sql.lit(NAMED)}], '{}') as "inCode", coalesce(same.live_as[1:${sql.lit(NAMED)}], '{}') as "liveAs"
      from batch o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
      left join lateral (select p.account_id from observed_principal p where p.id = o.principal_id offset 0) p on true
      left join account a on a.id = p.account_id
      left join lateral (
        select array_agg(distinct p2.name order by p2.name) filter (where p2.name is not null) as holders, array_agg(distinct s2.environment order by s2.environment) as environments,
               array_agg(distinct k.name || ' of ' || s2.name) filter (where k.held_by = 'source' and k.missed_at is null and k.state is distinct from 'expired') as in_code,
               array_agg(distinct k.name || ' of ' || s2.name) filter (where k.held_by is distinct from 'source' and k.missed_at is null and coalesce(k.state, 'active') = 'active') as live_as
          from (select k.* from observed_credential k where k.fingerprints && o.fingerprints and k.gone_at is null offset 0) k
          left join lateral (select p.name from observed_principal p where p.id = k.principal_id offset 0) p2 on true
          join source_scope c2 on c2.id = k.scope_id
          join source s2 on s2.id = c2.source_id
         where cardinality(o.fingerprints) > 0) same on true
     order by o.id`.execute(db.withoutPlugins())
  return rows.map((row) => ({ ...row, now, isAllWhole, codeRead }))
}

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

async function isEverySourceWhole(db: Db): Promise<boolean> {
  const { rows } = await sql`
    select from source s left join source_scope c on c.source_id = s.id and c.state = 'active'
     where s.state = 'active'
       and (c.id is null or s.problem is not null or c.status is null or c.status not in ('complete', 'unchanged') or c.missing <> '[]')
     limit 1`.execute(db)
  return rows.length === 0
}

/** Code is what the connector of that name reads: trees, histories, images and logs. */
async function codeReadOf(db: Db): Promise<CredentialFacts['codeRead']> {
  const { rows } = await sql<{ isWhole: boolean | null }>`
    select bool_and(coalesce(s.problem is null and c.status in ('complete', 'unchanged') and c.missing = '[]', false)) as "isWhole"
      from source s left join source_scope c on c.source_id = s.id and c.state = 'active'
     where s.state = 'active' and s.connector = 'source'`.execute(db)
  const [all] = rows
  if (!all || all.isWhole === null) return 'none'
  return all.isWhole ? 'whole' : 'partly'
}
