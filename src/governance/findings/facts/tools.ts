import { sql } from 'kysely'
import { z } from 'zod'
import type { Db } from '../../../kernel/db.ts'
import type { ToolFacts } from './facts.ts'
import type { Batch } from './record.ts'

const Marks = z.array(z.string()).catch([])
const flag = (name: string) =>
  sql`case jsonb_typeof(o.facts -> ${name}::text) when 'boolean' then (o.facts ->> ${name}::text)::boolean end`

/** What servers offer to agents, beside what a person approved of it. */
export async function loadToolFacts(db: Db, { after, limit, now }: Batch): Promise<ToolFacts[]> {
  const { rows } = await sql<Omit<ToolFacts, 'now' | 'marks'> & { readonly marks: unknown }>`
    select o.id, left(o.name, 300) as name, null::uuid as "identityId", s.name as source, s.environment,
           c.state = 'active' and c.status in ('complete', 'unchanged') as "isWhole", o.missed_at is null as "isPresent",
           greatest(o.changed_at, c.seen_at) as "readAt", o.gone_at as "goneAt", o.type, o.facts ->> 'digest' as digest,
           a.digest as "approvedDigest", a.approved_at as "approvedAt", o.facts -> 'marks' as marks, ${flag('isPublic')} as "isPublic",
           exists (select from tool_approval x join observed_resource y on y.id = x.resource_id join source_scope z on z.id = y.scope_id
                    where z.source_id = s.id) as "isServerApproved"
      from observed_resource o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id
      left join tool_approval a on a.resource_id = o.id
     where o.id > ${after} and o.type in ('mcp-server', 'mcp-tool', 'mcp-prompt', 'mcp-resource', 'mcp-template') and s.state = 'active'
       and (o.gone_at is null or exists (select from finding f where f.subject_id = o.id and f.state <> 'fixed'))
     order by o.id limit ${limit}`.execute(db)
  return rows.map(({ marks, ...row }) => ({ ...row, marks: Marks.parse(marks), now }))
}
