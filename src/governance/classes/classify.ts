import { sql, type RawBuilder } from 'kysely'
import { Environment } from '../../identities/contract.ts'
import { coverageOf, loadSource } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { idAfter, pageAfter } from '../../kernel/page.ts'
import type { Classification, ClassPage, ClassQuery } from './contract.ts'
import { classOf, type ClassFacts } from './rules.ts'

const RECENT_DAYS = 90

type Row = Omit<ClassFacts, 'environment'> & {
  readonly id: string
  readonly name: string
  readonly source: string
  readonly identityId: string | null
  readonly environment: string | null
}

/** What principals are, by the facts: groups and roles act only through their members and are left out. */
export async function listClasses(db: Db, clock: Clock, query: ClassQuery): Promise<ClassPage> {
  const { cursor, limit, source, principal, unclaimed } = query
  const of = source === undefined ? undefined : await loadSource(db, source)
  const after = idAfter(cursor)
  const where = [sql`p.gone_at is null and s.state = 'active' and p.type not in ('group', 'role')`]
  if (of) where.push(sql`c.source_id = ${of.id}`)
  if (principal !== undefined) where.push(sql`p.id = ${principal}`)
  if (after !== undefined) where.push(sql`p.id > ${after}`)
  if (unclaimed === true) where.push(sql`not exists (select from linked_identity l where l.observed_id = p.id)`)
  const found = await classesWhere(db, clock, where, limit + 1)
  const { items, nextCursor } = pageAfter(found, limit, ({ id }) => id)
  return { items, nextCursor, coverage: await coverageOf(db, clock, of?.id) }
}

/** The classes of some principals in the order of their ids; `p`, `c` and `s` are the principal, its scope and its source. */
export async function classesWhere(
  db: Db,
  clock: Clock,
  where: readonly RawBuilder<unknown>[],
  limit: number,
): Promise<Classification[]> {
  const since = secondsAfter(clock.now(), -RECENT_DAYS * 86_400)
  const { rows } = await sql<Row>`
    select p.id, p.name, s.name as source, i.id as "identityId", p.type, p.interactive, coalesce(p.environment, s.environment) as environment,
           i.kind as "identityKind", i.profile as "identityProfile", k.credentials, k.holders, r.hows, r.consumers,
           coalesce(u.by_person, false) as "usedByPerson", coalesce(u.by_program, false) as "usedByProgram",
           case jsonb_typeof(p.facts -> 'isPublic') when 'boolean' then (p.facts ->> 'isPublic')::boolean end as "isPublic",
           case jsonb_typeof(p.facts -> 'isAutonomous') when 'boolean' then (p.facts ->> 'isAutonomous')::boolean end as "isAutonomous",
           exists (select from observed_trust t where t.to_id = p.id and t.is_wildcard and t.gone_at is null) as "isWildcard",
           exists (select from observed_grant g where g.principal_id = p.id and g.level in ('admin', 'grant') and g.gone_at is null) as administers,
           e.hops, coalesce((select x.ended_at >= p.first_seen_at from graph_pass x), false) as "isLookedAt",
           coalesce(p.tags ->> 'app.kubernetes.io/part-of', p.tags ->> 'business-service', p.tags ->> 'service', p.tags ->> 'app', t.business_service) as service
      from observed_principal p
      join source_scope c on c.id = p.scope_id
      join source s on s.id = c.source_id
      left join target t on t.id = s.target_id
      left join linked_identity l on l.observed_id = p.id
      left join identity i on i.id = l.identity_id
      left join escalation e on e.id = p.id
      left join lateral (
        select coalesce(array_agg(distinct k.type), '{}') as credentials,
               coalesce(array_agg(distinct k.held_by) filter (where k.held_by is not null), '{}') as holders
          from observed_credential k where k.principal_id = p.id and k.gone_at is null) k on true
      left join lateral (
        select coalesce(array_agg(distinct r.how), '{}') as hows, coalesce(array_agg(distinct o.type) filter (where o.type is not null), '{}') as consumers
          from observed_credential k join observed_reference r on r.credential_id = k.id and r.gone_at is null
          left join observed_resource o on o.id = r.consumer_id
         where k.principal_id = p.id and k.gone_at is null) r on true
      left join lateral (
        select bool_or(a.type = 'human' or h.kind = 'human') as by_person, bool_or(a.type in ('service', 'workload', 'app')) as by_program
          from observed_usage u left join observed_principal a on a.id = u.actor_id
          left join linked_identity la on la.observed_id = u.actor_id left join identity h on h.id = la.identity_id
         where u.subject_id = p.id and u.last_at >= ${since}) u on true
     where ${sql.join(where, sql` and `)} order by p.id limit ${limit}`.execute(db)
  return rows.map(({ id, name, source: from, identityId, environment: told, ...facts }) => {
    const environment = Environment.safeParse(told).data ?? null
    const judged = classOf({ ...facts, environment })
    return { id, name, source: from, identityId, environment, businessService: facts.service, ...judged }
  })
}
