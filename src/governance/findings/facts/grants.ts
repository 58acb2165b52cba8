import { sql } from 'kysely'
import { z } from 'zod'
import type { Db } from '../../../kernel/db.ts'
import type { GrantFacts, TrustRuleFacts } from './facts.ts'
import { hasOpen } from './parts.ts'
import type { Batch } from './record.ts'

const NAMED = 5

/**
 * Rights by a star, told as such by their source. A role's right is held by whom the role is bound to, a policy's by who has it, and what stands in
 * somebody's own policy by them alone; of roles that a cluster comes with, what it bound to its own parts is left out (Kubernetes, "Using RBAC Authorization": names that begin with `system:` are reserved).
 */
export async function loadGrantFacts(db: Db, { after, limit, now }: Batch): Promise<GrantFacts[]> {
  const { rows } = await sql<Omit<GrantFacts, 'now'>>`
    with batch as (
      select g.* from observed_grant g join source_scope c on c.id = g.scope_id join source s on s.id = c.source_id
       where s.state = 'active' and g.id > ${after} and g.id in (
         (select w.id from observed_grant w where w.facts @> '{"isWildcard": true}' and w.gone_at is null and w.id > ${after} order by w.id limit ${limit})
         union all (select subject_id from (${hasOpen('grant')}) h where h.subject_id > ${after} order by h.subject_id limit ${limit}))
       order by g.id limit ${limit})
    select o.id, left(coalesce(role.name, o.native_id) || ': ' || coalesce(r.name, 'what was not seen'), 300) as name,
           case when cardinality(held.identities) = 1 then held.identities[1] end as "identityId",
           s.name as source, s.environment, c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole",
           o.missed_at is null as "isPresent", greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt",
           o.privilege, coalesce(r.name, '') as on, o.level = 'admin' as "isAdministrator",
           coalesce(role.facts @> '{"isBuiltIn": true}', false) as "isBuiltIn",
           coalesce(held.holders[1:${sql.lit(NAMED)}], '{}') as holders, coalesce(held.is_everybodys, false) as "isEverybodys",
           not exists (select from source_scope x where x.source_id = s.id and x.state = 'active'
                         and (x.status is null or x.status not in ('complete', 'unchanged') or x.missing <> '[]')) as "isSourceWhole"
      from batch o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
      left join observed_principal role on role.id = o.principal_id
      left join observed_resource r on r.id = o.on_id
      left join lateral (
        select array_agg(distinct h.name || case when h.facts ? 'boundary' then ' (within a boundary)' else '' end order by h.name || case when h.facts ? 'boundary' then ' (within a boundary)' else '' end) as holders,
               array_agg(distinct m.identity_id) filter (where m.identity_id is not null) as identities,
               bool_or(h.facts @> '{"everybody": true}' or h.name in ('system:authenticated', 'system:unauthenticated')) as is_everybodys
          from (select b.principal_id from observed_grant b where b.on_id = o.principal_id and b.privilege ~ '^(BOUND |POLICY$)' and b.gone_at is null
                union select o.principal_id where role.type <> 'role' or o.native_kind = 'inline-statement') held_by
          join observed_principal h on h.id = held_by.principal_id and h.gone_at is null
          left join linked_identity m on m.observed_id = h.id
         where not (coalesce(role.facts @> '{"isBuiltIn": true}', false)
           and (h.name ~ '^system:' and h.name !~ '^system:(un)?authenticated$' or role.name = 'system:controller:' || substr(h.name, length('kube-system/') + 1)))
      ) held on true
     order by o.id`.execute(db)
  return rows.map((row) => ({ ...row, now }))
}

const Expected = z.union([z.object({ is: z.string() }), z.object({ startsWith: z.string() })])
const Claims = z.array(z.object({ claim: z.string() }))

type RuleRow = Omit<TrustRuleFacts, 'now' | 'subject' | 'isBeginning' | 'claims'> & {
  readonly subject: unknown
  readonly claims: unknown
}

/** Our own rules of trust: those that hold, and those that something was found on. */
export async function loadTrustRuleFacts(db: Db, { after, limit, now }: Batch): Promise<TrustRuleFacts[]> {
  const { rows } = await sql<RuleRow>`
    select t.id, t.name, t.identity_id as "identityId", case when t.state = 'retired' then ${now}::timestamptz end as "goneAt",
           t.preset, t.issuer, t.keys_url as "keysUrl", t.subject, t.claims, i.tier
      from trust_rule t join identity i on i.id = t.identity_id
     where t.id > ${after} and (t.state = 'active' or t.id in (${hasOpen('trust-rule')}))
     order by t.id limit ${limit}`.execute(db)
  return rows.map(({ subject, claims, ...row }) => {
    const expected = Expected.parse(subject)
    const text = 'is' in expected ? expected.is : expected.startsWith
    const names = Claims.parse(claims).map(({ claim }) => claim)
    return { ...row, subject: text, isBeginning: !('is' in expected), claims: names, now }
  })
}
