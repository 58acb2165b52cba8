import { sql } from 'kysely'
import { secondsAfter } from '../../../kernel/clock.ts'
import type { Db } from '../../../kernel/db.ts'
import { RECENT_DAYS, type CredentialFacts, type KeepingFacts } from './facts.ts'
import type { Batch } from './record.ts'
import { nextOf } from './next-of.ts'
import { readWhole } from './read-whole.ts'

/** Of people, jobs and places; of what else shows the same secret. */
const NAMED = 5
const SAME_NAMED = 10
const DAY_SECONDS = 86_400
/** Principals that run by themselves. An `account` may be of either, and says nothing. */
const BY_ITSELF = sql`('service', 'workload', 'agent', 'app', 'device')`
/** Where a secret stands as it is. What starts jobs hands it over from somewhere else (`volume`, `ci-secret`, `vault-read`). */
const IN_THE_OPEN = sql`('env', 'file', 'config', 'connection')`

/** All that is known of a credential: what it is, who else shows the same secret, who has it in keeping and who uses it. */
type AllFacts = CredentialFacts & KeepingFacts
type Row = Omit<AllFacts, 'now' | 'isAllWhole' | 'isStoreRead' | 'codeRead'>

/**
 * Credentials that sources showed, with who else shows the same secret, keeps, holds and uses it. What was only missed still counts among those.
 * What belongs to a batch is looked up from it, `offset 0` says so: planned as one join, a rare type of principal is looked for among all of them,
 * once for each credential.
 */
export async function loadCredentialFacts(db: Db, { after, limit, now }: Batch): Promise<AllFacts[]> {
  const recent = secondsAfter(now, -RECENT_DAYS * DAY_SECONDS)
  const { rows } = await sql<Row>`
    with batch as materialized (
      select b.*, p.name as p_name, p.type as p_type, p.tags as p_tags, p.account_id, p.gone_at as p_gone_at
        from (${nextOf('observed_credential', { after, limit })}) b
        left join lateral (select p.* from observed_principal p where p.id = b.principal_id offset 0) p on true
    ), ${besides(recent)}
    select o.id, o.name, own.identity_id as "identityId", s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole",
           o.missed_at is null as "isPresent", greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt", o.type, o.state,
           o.created_at as "createdAt", o.rotated_at as "rotatedAt", o.expires_at as "expiresAt", o.never_expires as "neverExpires",
           o.strength, o.strength_why as "strengthWhy", coalesce(cardinality(o.fingerprints), 0) > 0 as "hasFingerprint", o.held_by as "heldBy",
           coalesce(shown.holders[1:${sql.lit(SAME_NAMED)}], '{}') as holders, coalesce(shown.environments, '{}') as environments,
           (o.facts -> 'isInNewest') = 'true'::jsonb as "isInNewest", o.facts ->> 'confidence' as confidence,
           coalesce(shown.in_code[1:${sql.lit(SAME_NAMED)}], '{}') as "inCode", coalesce(shown.live_as[1:${sql.lit(SAME_NAMED)}], '{}') as "liveAs",
           o.facts @> '{"isOffline": true}' as "isOffline",
           case when o.facts @> '{"isOffline": true}' then (select max(u.last_at) from observed_usage u where u.subject_id = o.id) end as "lastUsedAt", v.vendor,
           case when v.vendor is not null then (
             select case when bool_or(b.state in ('registered', 'active')) then 'active' else 'ended' end from identity b
              where b.vendor = v.vendor having count(*) > 0) end as "vendorState",
           coalesce(people.names[1:${sql.lit(NAMED)}], '{}') as people, coalesce(jobs.names[1:${sql.lit(NAMED)}], '{}') as jobs,
           coalesce(places.names[1:${sql.lit(NAMED)}], '{}') as "keptIn",
           coalesce(o.held_by = 'vault', false) or coalesce(shown.is_vaulted, false) as "isVaulted"
      from batch o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
      left join account a on a.id = o.account_id
      left join lateral (
        select coalesce(a.identity_id, (select m.identity_id from linked_identity m where m.observed_id in (o.id, o.principal_id)
                                         order by m.observed_kind limit 1)) as identity_id) own on true
      left join identity i on i.id = own.identity_id
     cross join lateral (
        select lower(coalesce(o.facts ->> 'vendor', i.vendor, o.p_tags ->> 'vendor', case when o.p_type = 'app' then o.p_name end)) as vendor) v
      left join shown on shown.of = o.id
      left join people on people.of = o.id
      left join jobs on jobs.of = o.id
      left join places on places.of = o.id
     order by o.id`.execute(db.withoutPlugins())
  const over = { ...(await readWhole(db)), codeRead: await codeReadOf(db), now }
  return rows.map((row) => ({ ...row, ...over }))
}

/** What there is of each of the batch besides itself: who else shows the same secret, where it is kept, who holds and who uses it. */
function besides(recent: Date) {
  return sql`
    same as materialized (
      select b.id as of, k.id, k.name, k.held_by, k.missed_at, k.state, k.scope_id, h.name as h_name, h.type as h_type, h.gone_at as h_gone_at
        from batch b
       cross join lateral (select k.* from observed_credential k where k.fingerprints && b.fingerprints and k.gone_at is null offset 0) k
        left join lateral (select h.name, h.type, h.gone_at from observed_principal h where h.id = k.principal_id offset 0) h on true
       where cardinality(b.fingerprints) > 0
    ), shown as (
      select k.of, array_agg(distinct k.h_name order by k.h_name) filter (where k.h_name is not null) as holders,
             array_agg(distinct s.environment order by s.environment) as environments, bool_or(k.held_by = 'vault' and k.id <> k.of) as is_vaulted,
             array_agg(distinct k.name || ' of ' || s.name) filter (where k.held_by = 'source' and k.missed_at is null and k.state is distinct from 'expired') as in_code,
             array_agg(distinct k.name || ' of ' || s.name) filter (where k.held_by is distinct from 'source' and k.missed_at is null and coalesce(k.state, 'active') = 'active') as live_as
        from same k join source_scope c on c.id = k.scope_id join source s on s.id = c.source_id group by k.of
    ), holders as (
      select b.id as of, b.p_name as name, b.p_type as type from batch b where b.gone_at is null and b.p_gone_at is null and b.p_name is not null
      union all
      select k.of, k.h_name, k.h_type from same k where k.id <> k.of and k.h_gone_at is null and k.h_name is not null
    ), kept as materialized (
      select b.id as of, r.how, r.location, c.name, c.type
        from batch b
       cross join lateral (
         select r.* from observed_reference r where r.credential_id = b.id and r.gone_at is null
         union all
         select r.* from observed_reference r where r.fingerprint = any (b.fingerprints) and r.gone_at is null offset 0) r
        left join lateral (select p.name, p.type from observed_principal p where p.id = r.consumer_id offset 0) c on true
    ), users as (
      select b.id as of, w.name
        from batch b
       cross join lateral (
         select u.actor_id, u.subject_id from observed_usage u where u.subject_id = any (array[b.id, b.principal_id]) and u.last_at > ${recent} offset 0) u
       cross join lateral (select p.name, p.type from observed_principal p where p.id = u.actor_id offset 0) w
       where w.type = 'human' and (u.subject_id = b.id or ${HAS_NO_OTHER})
    ), people as (
      select of, array_agg(distinct name order by name) as names
        from (select of, name from holders where type = 'human' union all select of, name from users) n group by of
    ), jobs as (
      select of, array_agg(distinct name order by name) as names
        from (select of, name from holders where type in ${BY_ITSELF}
              union all select of, coalesce(name, location) from kept where type in ${BY_ITSELF} or how = 'ci-secret') n group by of
    ), places as (
      select of, array_agg(distinct place order by place) as names
        from (select of, how || ' of ' || coalesce(name || ': ', '') || left(location, 200) as place from kept where how in ${IN_THE_OPEN}) n group by of
    )`
}

/** A use of a principal is one of its credential where it has no other. */
const HAS_NO_OTHER = sql`not exists (
  select from observed_credential x where x.principal_id = b.principal_id and x.id <> b.id and x.gone_at is null)`

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
