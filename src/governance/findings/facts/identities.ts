import { sql } from 'kysely'
import type { Db } from '../../../kernel/db.ts'
import type { IdentityFacts } from './facts.ts'
import { firstStepOf, graphLookedAt } from './parts.ts'
import type { Batch } from './record.ts'
import { readWhole } from './read-whole.ts'

const NAMED = 5

type Row = Omit<IdentityFacts, 'now' | 'isAllWhole' | 'graphAt' | 'firstStep'> & { readonly edge: string | null }

/** Identities, those too that are retired: what was left behind is looked for there. */
export async function loadIdentityFacts(db: Db, { after, limit, now }: Batch): Promise<IdentityFacts[]> {
  const { rows } = await sql<Row>`
    select i.id, i.name, i.id as "identityId", null::timestamptz as "goneAt", i.kind, i.state, i.profile, i.tier, i.tier_set as "tierSet",
           i.owner_state as "ownerState", o.state = 'active' as "ownerIsActive", i.expires_at as "expiresAt", i.created_at as "createdAt",
           (select count(*)::int from api_token k where k.identity_id = i.id and k.revoked_at is null and k.expires_at > ${now}) as "liveTokens",
           array(select a.name || '@' || t.name from account a join target t on t.id = a.target_id
                  where a.identity_id = i.id and a.state = 'active' and a.mode <> 'lease' and t.state = 'active'
                    and a.attributes -> 'canLogIn' is distinct from 'false'
                  order by a.id limit ${NAMED}) as standing,
           greatest((select max(r.created_at) from access_request r where r.subject_id = i.id),
                    (select max(u.reserved_at) from access_grant g join grant_use u on u.grant_id = g.id where g.subject_id = i.id)) as "lastActAt",
           (select max(u.last_at) from account a join observed_principal p on p.account_id = a.id join observed_usage u on u.subject_id = p.id
             where a.identity_id = i.id) as "lastSeenUseAt",
           exists (select from record_link l where l.identity_id = i.id and l.state = 'active') as "isTied",
           e.hops::int as hops, e.edge,
           coalesce((select r.name from observed_resource r where r.id = e.goal_id), (select p.name from observed_principal p where p.id = e.goal_id)) as goal,
           case when i.profile = 'break-glass' then ${automation()} else '{}' end as automation,
           acted."livePurposes", acted."pastPurposes"
      from identity i
      left join identity o on o.id = i.owner_id
      left join escalation e on e.id = i.id
     cross join lateral (
       select (count(*) filter (where p.state = 'approved' and p.expires_at > ${now}))::int as "livePurposes",
              coalesce((array_agg(p.name order by p.name) filter (where p.state = 'ended' or p.expires_at <= ${now}))[1:${sql.lit(NAMED)}], '{}') as "pastPurposes"
         from purpose p where p.id in (select g.purpose_id from access_grant g where g.subject_id = i.id)) acted
     where i.id > ${after}
     order by i.id limit ${limit}`.execute(db)
  const graphAt = await graphLookedAt(db)
  const { isAllWhole } = await readWhole(db)
  return rows.map(({ edge, ...row }) => ({ ...row, isAllWhole, graphAt, firstStep: firstStepOf(edge), now }))
}

/** What runs by itself and has the identity `i`: it keeps a credential of it, or was seen using it. */
function automation() {
  return sql`array(
    with tied as (
      select l.observed_id as id from record_link l where l.identity_id = i.id and l.state = 'active'
    ), keys as (
      select k.id, k.fingerprints, k.principal_id from observed_credential k
       where k.gone_at is null and (k.id in (select id from tied) or k.principal_id in (select id from tied))
    )
    select distinct said from (
      select coalesce(c.name, r.location) || ' keeps its credential' as said
        from keys k join observed_reference r on r.credential_id = k.id or r.fingerprint = any (k.fingerprints)
        left join observed_principal c on c.id = r.consumer_id
       where r.gone_at is null and c.type is distinct from 'human'
      union all
      select w.name || ' used it' from observed_usage u join observed_principal w on w.id = u.actor_id
       where (u.subject_id in (select id from tied) or u.subject_id in (select id from keys)) and w.type in ('service', 'workload', 'agent', 'app', 'device')) s
    order by said limit ${sql.lit(NAMED)})`
}
