import { sql } from 'kysely'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { RECENT_DAYS, type KeepingFacts } from './facts.ts'
import type { Batch } from './load-record.ts'
import { nextOf } from './next-of.ts'
import { readWhole } from './read-whole.ts'

const NAMED = 5
const DAY_SECONDS = 86_400
/** Principals that run by themselves. An `account` may be of either, and says nothing. */
const BY_ITSELF = sql`('service', 'workload', 'agent', 'app', 'device')`
/** Where a secret stands as it is. What starts jobs hands it over from somewhere else (`volume`, `ci-secret`, `vault-read`). */
const IN_THE_OPEN = sql`('env', 'file', 'config', 'connection')`

/**
 * Credentials that sources showed, with who keeps, holds and uses each. What belongs to a batch is looked up from it, `offset 0` says so: planned as
 * one join, a rare type of principal is looked for among all of them, once for each credential.
 */
export async function loadKeepingFacts(db: Db, { after, limit, now }: Batch): Promise<KeepingFacts[]> {
  const recent = secondsAfter(now, -RECENT_DAYS * DAY_SECONDS)
  const { rows } = await sql<Omit<KeepingFacts, 'now' | 'isAllWhole' | 'isStoreRead'>>`
    with batch as materialized (${nextOf('observed_credential', { after, limit })}),
    same as materialized (
      select b.id as of, b.principal_id, b.held_by from batch b where b.gone_at is null
      union all
      select b.id, k.principal_id, k.held_by from batch b cross join lateral (
        select k.* from observed_credential k where k.fingerprints && b.fingerprints and k.gone_at is null and k.id <> b.id offset 0) k
       where cardinality(b.fingerprints) > 0
    ), holders as materialized (
      select s.of, h.name, h.type from same s cross join lateral (
        select p.name, p.type from observed_principal p where p.id = s.principal_id and p.gone_at is null offset 0) h
    ), kept as materialized (
      select b.id as of, r.how, r.location, c.name, c.type
        from batch b
       cross join lateral (
         select r.* from observed_reference r where r.credential_id = b.id and r.gone_at is null
         union all
         select r.* from observed_reference r where r.fingerprint = any (b.fingerprints) and r.gone_at is null offset 0) r
        left join lateral (select p.name, p.type from observed_principal p where p.id = r.consumer_id offset 0) c on true
    ), users as materialized (
      select b.id as of, w.name
        from batch b
       cross join lateral (
         select u.actor_id, u.subject_id from observed_usage u where u.subject_id = any (array[b.id, b.principal_id]) and u.last_at > ${recent} offset 0) u
       cross join lateral (select p.name, p.type from observed_principal p where p.id = u.actor_id offset 0) w
       where w.type = 'human' and (u.subject_id = b.id or ${hasNoOther})
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
    ), vaulted as (select distinct of from same where held_by = 'vault')
    select o.id, o.name, i.id as "identityId", s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole",
           o.missed_at is null as "isPresent", greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt", o.type, o.state,
           coalesce(cardinality(o.fingerprints), 0) > 0 as "hasFingerprint", o.held_by as "heldBy", o.facts @> '{"isOffline": true}' as "isOffline", o.never_expires as "neverExpires",
           case when o.facts @> '{"isOffline": true}' then (select max(u.last_at) from observed_usage u where u.subject_id = o.id) end as "lastUsedAt", v.vendor,
           case when v.vendor is not null then (
             select case when bool_or(b.state in ('registered', 'active')) then 'active' else 'ended' end from identity b
              where b.vendor = v.vendor having count(*) > 0) end as "vendorState",
           coalesce(people.names[1:${sql.lit(NAMED)}], '{}') as people, coalesce(jobs.names[1:${sql.lit(NAMED)}], '{}') as jobs,
           coalesce(places.names[1:${sql.lit(NAMED)}], '{}') as "keptIn",
           coalesce(o.held_by = 'vault', false) or vaulted.of is not null as "isVaulted"
      from batch o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
      left join lateral (select p.account_id, p.tags, p.type, p.name from observed_principal p where p.id = o.principal_id offset 0) p on true
      left join account a on a.id = p.account_id
      left join lateral (
        select coalesce(a.identity_id, (select m.identity_id from linked_identity m where m.observed_id in (o.id, o.principal_id)
                                         order by m.observed_kind limit 1)) as identity_id) own on true
      left join identity i on i.id = own.identity_id
     cross join lateral (
        select lower(coalesce(o.facts ->> 'vendor', i.vendor, p.tags ->> 'vendor', case when p.type = 'app' then p.name end)) as vendor) v
      left join people on people.of = o.id
      left join jobs on jobs.of = o.id
      left join places on places.of = o.id
      left join vaulted on vaulted.of = o.id
     order by o.id`.execute(db.withoutPlugins())
  const whole = await readWhole(db)
  return rows.map((row) => ({ ...row, ...whole, now }))
}

/** A use of a principal is one of its credential where it has no other. */
const hasNoOther = sql`not exists (
  select from observed_credential x where x.principal_id = b.principal_id and x.id <> b.id and x.gone_at is null)`
