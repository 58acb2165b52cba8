import { sql } from 'kysely'
import type { Db } from '../../../kernel/db.ts'
import type { PrincipalFacts } from './facts.ts'
import { firstStepOf, graphLookedAt, hasOpen } from './parts.ts'
import type { Batch } from './record.ts'
import { readWhole } from './read-whole.ts'

type Row = Omit<PrincipalFacts, 'now' | 'isAllWhole' | 'graphAt' | 'firstStep'> & { readonly edge: string | null }

/**
 * What comes to tier 0 at a source, and what something was found on. What a cluster made for its own parts came with it (Kubernetes, "Using RBAC
 * Authorization": names that begin with `system:` are reserved, and each controller has a role of its name).
 */
export async function loadPrincipalFacts(db: Db, { after, limit, now }: Batch): Promise<PrincipalFacts[]> {
  const { rows } = await sql<Row>`
    with batch as (
      select p.* from observed_principal p join source_scope c on c.id = p.scope_id join source s on s.id = c.source_id
       where s.state = 'active' and p.id > ${after} and p.id in (
         (select e.id from escalation e where e.node = 'principal' and e.id > ${after} order by e.id limit ${limit})
         union all (select subject_id from (${hasOpen('principal')}) h where h.subject_id > ${after} order by h.subject_id limit ${limit}))
       order by p.id limit ${limit})
    select p.id, left(p.name, 300) as name, l.identity_id as "identityId", p.gone_at as "goneAt", s.name as source, s.environment,
           c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole", p.missed_at is null as "isPresent",
           greatest(p.changed_at, c.seen_at) as "readAt", p.type not in ('group', 'role') as "canAct", p.state,
           p.account_id is not null or p.instance_of_id is not null as "isJudgedElsewhere",
           p.facts @> '{"isBuiltIn": true}' or p.name ~ '^system:' or p.name ~ '^kube-system/' and exists (
             select from observed_grant g join observed_principal r on r.id = g.on_id
              where g.principal_id = p.id and g.gone_at is null and r.name = 'system:controller:' || substr(p.name, length('kube-system/') + 1)) as "isBuiltIn",
           e.hops::int as hops, e.edge,
           coalesce((select r.name from observed_resource r where r.id = e.goal_id), (select g.name from observed_principal g where g.id = e.goal_id)) as goal,
           (select max(u.last_at) from observed_usage u where u.subject_id = p.id) as "lastUsedAt"
      from batch p
      join source_scope c on c.id = p.scope_id
      join source s on s.id = c.source_id
      left join linked_identity l on l.observed_id = p.id
      left join escalation e on e.id = p.id
     order by p.id`.execute(db)
  const graphAt = await graphLookedAt(db)
  const { isAllWhole } = await readWhole(db)
  return rows.map(({ edge, ...row }) => ({ ...row, isAllWhole, graphAt, firstStep: firstStepOf(edge), now }))
}
