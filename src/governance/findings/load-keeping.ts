import { sql } from 'kysely'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { RECENT_DAYS, type KeepingFacts } from './facts.ts'
import type { Batch } from './load-record.ts'
import { readWhole } from './read-whole.ts'

const NAMED = 5
const DAY_SECONDS = 86_400
/** Principals that run by themselves. An `account` may be of either, and says nothing. */
const BY_ITSELF = sql`('service', 'workload', 'agent', 'app', 'device')`
/** Where a secret stands as it is. What starts jobs hands it over from somewhere else (`volume`, `ci-secret`, `vault-read`). */
const IN_THE_OPEN = sql`('env', 'file', 'config', 'connection')`

/** Credentials that sources showed, with who keeps, holds and uses each. */
export async function loadKeepingFacts(db: Db, { after, limit, now }: Batch): Promise<KeepingFacts[]> {
  const recent = secondsAfter(now, -RECENT_DAYS * DAY_SECONDS)
  const { rows } = await sql<Omit<KeepingFacts, 'now' | 'isAllWhole' | 'isStoreRead'>>`
    with batch as (
      select o.*, s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as is_whole,
             greatest(o.changed_at, c.seen_at) as read_at
        from observed_credential o join source_scope c on c.id = o.scope_id join source s on s.id = c.source_id
       where o.id > ${after} and s.state = 'active'
         and (o.gone_at is null or exists (select from finding f where f.subject_id = o.id and f.state <> 'fixed'))
       order by o.id limit ${limit})
    select o.id, o.name, i.id as "identityId", o.source, o.environment, o.is_whole as "isWhole", o.missed_at is null as "isPresent",
           o.read_at as "readAt", o.gone_at as "goneAt", o.type, o.state, coalesce(cardinality(o.fingerprints), 0) > 0 as "hasFingerprint",
           o.held_by as "heldBy", o.facts @> '{"isOffline": true}' as "isOffline", o.never_expires as "neverExpires",
           case when o.facts @> '{"isOffline": true}' then (select max(u.last_at) from observed_usage u where u.subject_id = o.id) end as "lastUsedAt", v.vendor,
           (select case when bool_or(b.state in ('registered', 'active')) then 'active' else 'ended' end from identity b
             where b.vendor = v.vendor having count(*) > 0) as "vendorState",
           ${peopleOf(recent)} as people, ${jobsOf()} as jobs, ${keptIn()} as "keptIn",
           coalesce(o.held_by = 'vault', false) or exists (select from observed_credential k
             where k.fingerprints && o.fingerprints and k.held_by = 'vault' and k.gone_at is null) as "isVaulted"
      from batch o
      left join observed_principal p on p.id = o.principal_id
      left join account a on a.id = p.account_id
      left join lateral (
        select coalesce(a.identity_id, (select m.identity_id from linked_identity m where m.observed_id in (o.id, o.principal_id)
                                         order by m.observed_kind limit 1)) as identity_id) own on true
      left join identity i on i.id = own.identity_id
     cross join lateral (
        select lower(coalesce(o.facts ->> 'vendor', i.vendor, p.tags ->> 'vendor', case when p.type = 'app' then p.name end)) as vendor) v
     order by o.id`.execute(db)
  const whole = await readWhole(db)
  return rows.map((row) => ({ ...row, ...whole, now }))
}

const SAME = sql`observed_credential k join observed_principal h on h.id = k.principal_id
  where (k.id = o.id or k.fingerprints && o.fingerprints) and k.gone_at is null and h.gone_at is null`

/** A use of a principal is one of its credential where it has no other. */
function peopleOf(recent: Date) {
  return sql`array(
    select distinct named.name from (
      select h.name from ${SAME} and h.type = 'human'
      union all
      select w.name from observed_usage u join observed_principal w on w.id = u.actor_id
       where w.type = 'human' and u.last_at > ${recent}
         and (u.subject_id = o.id or u.subject_id = o.principal_id and not exists (
                select from observed_credential x where x.principal_id = o.principal_id and x.id <> o.id and x.gone_at is null))) named
    order by named.name limit ${sql.lit(NAMED)})`
}

const REFERENCES = sql`observed_reference r left join observed_principal c on c.id = r.consumer_id
  where (r.credential_id = o.id or r.fingerprint = any (o.fingerprints)) and r.gone_at is null`

function jobsOf() {
  return sql`array(
    select distinct named.name from (
      select h.name from ${SAME} and h.type in ${BY_ITSELF}
      union all
      select coalesce(c.name, r.location) from ${REFERENCES} and (c.type in ${BY_ITSELF} or r.how = 'ci-secret')) named
    order by named.name limit ${sql.lit(NAMED)})`
}

function keptIn() {
  return sql`array(
    select distinct r.how || ' of ' || coalesce(c.name || ': ', '') || left(r.location, 200) as place from ${REFERENCES} and r.how in ${IN_THE_OPEN}
    order by place limit ${sql.lit(NAMED)})`
}
