import { sql } from 'kysely'
import { secondsAfter } from '../../../kernel/clock.ts'
import type { Db } from '../../../kernel/db.ts'
import { Instant } from '../../../kernel/instant.ts'
import { RECENT_DAYS, UNUSED_DAYS, type AccountFacts, type CombinedFacts } from './facts.ts'

/** Which subjects come next, in the order of their ids. */
export type Batch = { readonly after: string; readonly limit: number; readonly now: Date }

const DAY_SECONDS = 86_400
/** A reading a day: what happened since the last one is told by the next. */
const LAG_DAYS = 2
const NAMED = 5

type AccountRow = Omit<AccountFacts, 'now' | 'outside'> & {
  readonly outside: readonly {
    readonly at: string
    readonly agent: string | null
    readonly address: string | null
    readonly byHuman: boolean
  }[]
}

/**
 * Accounts with what their targets and sources told. An account is gone when it was retired, or when every principal that it was is gone by two
 * complete readings.
 */
export async function loadAccountFacts(db: Db, { after, limit, now }: Batch): Promise<AccountFacts[]> {
  const recent = secondsAfter(now, -RECENT_DAYS * DAY_SECONDS)
  const { rows } = await sql<AccountRow>`
    with recursive batch as (
      select a.* from account a where a.id > ${after} order by a.id limit ${limit}
    ), held (id, target_id, name) as (
      select b.id, b.target_id, b.name from batch b
      union
      select h.id, h.target_id, role.name
        from held h
        join account x on x.target_id = h.target_id and x.name = h.name
       cross join lateral jsonb_array_elements_text(
         case jsonb_typeof(x.attributes -> 'memberOf') when 'array' then x.attributes -> 'memberOf' else '[]' end) role (name)
    ), rights as (
      select h.id, bool_or((x.attributes ->> 'isSuperuser')::boolean) as is_superuser, bool_or((x.attributes ->> 'canCreateRole')::boolean) as creates_roles
        from held h join account x on x.target_id = h.target_id and x.name = h.name group by h.id
    )
    select b.id, b.name || '@' || t.name as name, b.identity_id as "identityId", b.mode, b.tier, b.seen_at as "seenAt", i.kind as "claimedBy",
           case when b.state = 'retired' or t.state = 'retired' then ${now}::timestamptz
                when p.every_gone and b.mode = 'seen' then p.gone_at end as "goneAt",
           (b.attributes ->> 'canLogIn')::boolean as "canLogIn", coalesce(p.is_built_in, false) as "isBuiltIn",
           r.is_superuser as "isSuperuser", r.creates_roles as "createsRoles", p.first_seen_at as "firstSeenAt", p.last_used_at as "lastUsedAt",
           coalesce(p.watched, false) as "isWatched", coalesce(p.watched_long, false) as "isWatchedLong",
           exists (select from rotation_schedule s where s.account_id = b.id and s.every_days is not null) as "isRotated",
           (select l.revocability from lease l where l.account_id = b.id order by l.announced_at desc limit 1) as revocability,
           coalesce(outside.uses, '[]') as outside
      from batch b
      join target t on t.id = b.target_id
      left join identity i on i.id = b.identity_id
      left join rights r on r.id = b.id
      left join lateral (
        select bool_and(p.gone_at is not null) as every_gone, max(p.gone_at) as gone_at, bool_or(p.facts -> 'isBuiltIn' = 'true') as is_built_in,
               min(p.first_seen_at) as first_seen_at,
               max((select max(u.last_at) from observed_usage u where u.subject_id = p.id)) as last_used_at,
               bool_and(${watchedSince(recent, now)}) as watched,
               bool_and(${watchedSince(secondsAfter(now, -UNUSED_DAYS * DAY_SECONDS), now)}) as watched_long
          from observed_principal p where p.account_id = b.id
        having count(*) > 0
      ) p on true
      left join lateral (
        select jsonb_agg(u order by u.at desc) as uses from (
          select to_char(u.last_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, u.agent, u.address, coalesce(w.type = 'human', false) as "byHuman"
            from observed_principal p
            join observed_usage u on u.subject_id = p.id
            left join observed_principal w on w.id = u.actor_id
           where p.account_id = b.id and u.last_at > ${recent}
             and not (${isBrokered('u.last_at', now)} and (u.day_at is null or ${isBrokered('u.first_at', now)}))
           order by u.last_at desc limit ${NAMED}) u
      ) outside on true
     order by b.id`.execute(db)
  return rows.map(({ outside, ...row }) => ({
    ...row,
    now,
    outside: outside.map((use) => ({ ...use, at: Instant.parse(use.at) })),
  }))
}

/**
 * Whether a session of the account `b` explains a use at that time. Of the uses of a day, which are told as one, the first and the last have to be
 * explained: whoever came before a session, or after it, is not hidden by it.
 */
function isBrokered(at: 'u.first_at' | 'u.last_at', now: Date) {
  const used = sql.raw(at)
  return sql`exists (select from session s where s.account_id = b.id and s.started_at <= ${used} + interval '1 minute'
                        and coalesce(s.ended_at, ${now}) >= ${used} - interval '1 minute')`
}

/** Whether each use of `p` since then would have been seen; a hole in the window is a no. */
function watchedSince(since: Date, now: Date) {
  const until = secondsAfter(now, -LAG_DAYS * DAY_SECONDS)
  return sql`exists (
    select from usage_window w where w.sees = 'every-use' and w.seen @> tstzrange(${since}, ${until})
       and (w.subject_id = p.id or w.subject_id is null and w.scope_id in (
         select x.id from source_scope x join source_scope y on y.source_id = x.source_id where y.id = p.scope_id)))`
}

type CombinedRow = Omit<CombinedFacts, 'now' | 'rules'> & { readonly rules: readonly string[] }

/** Identities on which something was found, with all of it that is not fixed. */
export async function loadCombinedFacts(db: Db, { after, limit, now }: Batch): Promise<CombinedFacts[]> {
  const { rows } = await sql<CombinedRow>`
    select i.id, i.name, i.id as "identityId", null::timestamptz as "goneAt", f.rules
      from (select identity_id, array_agg(distinct rule) filter (where state <> 'fixed') as rules
              from finding where identity_id > ${after} group by identity_id order by identity_id limit ${limit}) f
      join identity i on i.id = f.identity_id
     order by i.id`.execute(db)
  return rows.map(({ rules, ...row }) => ({ ...row, now, rules: new Set(rules) }))
}
