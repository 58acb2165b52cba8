import { sql, type RawBuilder } from 'kysely'
import { z } from 'zod'
import { actOf } from '../../identities/identities.ts'
import { coverageOf, loadSource } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { idAfter, pageAfter } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Tool, ToolPage, ToolQuery } from './contract.ts'
import { toolsApproved } from './events.ts'

const Marks = z.array(z.string()).catch([])
const flag = (name: string) =>
  sql`case jsonb_typeof(o.facts -> ${name}::text) when 'boolean' then (o.facts ->> ${name}::text)::boolean end`
/** As strict as a call of it is in the catalog, where its server stands, and as what a source or a person said of the server or the tool. */
const TIER = sql`least(coalesce((select case s.environment when 'production' then x.tier else coalesce(x.tier_elsewhere, x.tier) end
   from privileged_action x where x.name = 'mcp.call'), 0), o.sensitivity, t.sensitivity)`
const STATE = sql`case when a.digest is null then 'new' when a.digest = o.facts ->> 'digest' then 'approved' else 'changed' end`

async function tools(db: Db, where: readonly RawBuilder<unknown>[], limit: number): Promise<Tool[]> {
  const { rows } = await sql<Omit<Tool, 'marks'> & { readonly marks: unknown }>`
    select o.id, o.id || '@' || (o.facts ->> 'digest') || '.' || ${TIER} as version, o.name, s.name as source, o.facts ->> 'description' as description,
           ${TIER} as tier, ${STATE} as state, a.approved_at as "approvedAt", i.name as approver, ${flag('claimsReadOnly')} as "claimsReadOnly",
           ${flag('claimsDestructive')} as "claimsDestructive", o.facts -> 'marks' as marks
      from observed_resource o join source_scope c on c.id = o.scope_id join source s on s.id = c.source_id
      left join target t on t.id = s.target_id
      left join tool_approval a on a.resource_id = o.id left join identity i on i.id = a.approver_id
     where o.type = 'mcp-tool' and o.gone_at is null and s.state = 'active' and o.facts ->> 'digest' is not null and ${sql.join(where, sql` and `)}
     order by o.id limit ${limit}`.execute(db)
  return rows.map(({ marks, ...row }) => ({ ...row, marks: Marks.parse(marks) }))
}

/** What servers offer to agents, with what a person approved of it. */
export async function listTools(db: Db, clock: Clock, { cursor, limit, source, state }: ToolQuery): Promise<ToolPage> {
  const after = idAfter(cursor)
  const of = source === undefined ? undefined : await loadSource(db, source)
  const where = [sql`true`]
  if (of) where.push(sql`s.id = ${of.id}`)
  if (after !== undefined) where.push(sql`o.id > ${after}`)
  if (state !== undefined) where.push(sql`${STATE} = ${state}`)
  const found = await tools(db, where, limit + 1)
  return { ...pageAfter(found, limit, ({ id }) => id), coverage: await coverageOf(db, clock, of?.id) }
}

/** The tools of these versions as they are offered now; what is another by now, or was missed by the last reading, is not passed over. */
async function namedTools(db: Db, versions: readonly string[]): Promise<Tool[]> {
  const named = new Map(versions.map((version) => [version.slice(0, 36), version]))
  const ids = [...named.keys()].sort()
  const found = await tools(db, [sql`o.id = any (${ids}) and o.missed_at is null`], ids.length)
  for (const [id, version] of named) {
    const tool = found.find((each) => each.id === id)
    if (!tool) throw notFound('There is no such tool.', { type: 'InventoryItem', id })
    if (tool.version !== version)
      throw conflict('The tool is another by now; look at it again.', {
        type: 'InventoryItem',
        id,
        state: tool.version,
      })
  }
  return found
}

const SAID_MAX = 300

/** What an approval of these tools is about: the strictest tier among them, and a line of each for whoever has to agree. */
export async function aboutTools(db: Db, versions: readonly string[]): Promise<{ tier: number; lines: string[] }> {
  const found = await namedTools(db, versions)
  return {
    tier: Math.min(...found.map(({ tier }) => tier)),
    lines: found.map(({ name, source, tier, description, claimsReadOnly, claimsDestructive, marks, version }) => {
      const claims = [
        ...(claimsReadOnly === true ? ['says that it only reads'] : []),
        ...(claimsDestructive === true ? ['says that it destroys'] : []),
      ]
      const marked = marks.length === 0 ? [] : [`marked: ${marks.join(', ')}`]
      const said = description === null ? [] : [`"${description.slice(0, SAID_MAX)}"`]
      return [`${name} of ${source} (tier ${tier})`, ...claims, ...marked, ...said, version].join('; ')
    }),
  }
}

/** Approves exactly the versions that are named: what is another by now, or was missed by the last reading, is not passed over. */
export async function approveTools(
  tx: Tx,
  needs: { readonly clock: Clock; readonly ledger: Ledger },
  permit: Permit<'tool.approve'>,
  { tools: versions }: { readonly tools: readonly string[] },
): Promise<Tool[]> {
  const ids = [...new Set(versions.map((version) => version.slice(0, 36)))].sort()
  await sql`select from observed_resource o where o.id = any (${ids}) order by o.id for share`.execute(tx)
  const found = await namedTools(tx, versions)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: toolsApproved,
    facts: { tools: found.map(({ version }) => version) },
  })
  const approved = { approverId: permit.subject.id, approvedAt: needs.clock.now(), cause }
  for (const { id, version } of found) {
    const says = { ...approved, digest: version.slice(37, 101) }
    await tx
      .insertInto('toolApproval')
      .values({ resourceId: id, ...says })
      .onConflict((is) => is.column('resourceId').doUpdateSet(says))
      .execute()
  }
  return namedTools(tx, versions)
}
