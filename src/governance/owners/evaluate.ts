import { sql, type RawBuilder } from 'kysely'
import type { Teams } from '../../identities/identities.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { EVIDENCE, HALF_LIFE_DAYS } from './evidence.ts'

/** Pieces of evidence that are kept of one candidate, the heaviest. */
const KEPT = 10
/** Less than this is no reason to ask anybody. */
const SCORE_MIN = 5
/** A certainty there is not. */
const WEIGHT_MAX = 0.99

export type OwnersEvaluated = { readonly candidates: number; readonly changed: number }

/**
 * Weighs everything that speaks for an owner: 1 − Π(1 − wᵢ), each weight halved with every year of its age. A team speaks for each of its members by
 * an equal part. What is attested, people, and what somebody declined are left out. The same day and facts again change no row.
 * With `only`, just these identities are looked at.
 */
export async function evaluateOwners(
  tx: Tx,
  { clock, teams }: { readonly clock: Clock; readonly teams: Teams },
  only?: readonly string[],
): Promise<OwnersEvaluated> {
  const now = clock.now()
  const among = (id: RawBuilder<unknown>) => (only ? sql`${id} = any (${only})` : sql`true`)
  const members = teams.names.flatMap((team) => teams.membersOf(team).map((name) => ({ team, name })))
  const each = EVIDENCE.map(
    ({ id, weight, query }) =>
      sql`select ${sql.lit(id)} as rule, ${sql.lit(weight)}::float8 as weight, * from (${sql.raw(query)}) e (identity_id, person_id, team, of_at, words) where ${among(sql`e.identity_id`)}`,
  )
  const weighed = sql`
    person as materialized (select i.id, i.name from identity i where i.kind = 'human' and i.state = 'active' and i.profile = 'person'),
    member as materialized (
      select m.team, h.id as person_id, count(*) over (partition by m.team) as size
        from unnest(${members.map(({ team }) => team)}::text[], ${members.map(({ name }) => name)}::text[]) m (team, name) join person h on h.name = m.name
    ), told as (${sql.join(each, sql` union all `)}
    ), spoken as (
      select t.rule, t.identity_id, coalesce(t.person_id, m.person_id) as owner_id, t.team, t.words, t.of_at,
             least(${WEIGHT_MAX}, t.weight / coalesce(m.size, 1) * power(0.5, greatest(0, extract(day from ${now}::timestamptz - t.of_at)) / ${HALF_LIFE_DAYS})) as weight
        from told t left join member m on t.person_id is null and m.team = t.team
       where coalesce(t.person_id, m.person_id) is not null
    ), once as (
      select distinct on (s.identity_id, s.owner_id, s.rule) s.* from spoken s order by s.identity_id, s.owner_id, s.rule, s.weight desc, s.of_at desc
    ), ranked as (
      select o.*, row_number() over (partition by o.identity_id, o.owner_id order by o.weight desc, o.rule) as place from once o
    ), candidate as (
      select r.identity_id, r.owner_id, (array_agg(r.team order by r.weight desc, r.rule) filter (where r.team is not null))[1] as team,
             round(100 * (1 - exp(sum(ln(1 - r.weight)))))::smallint as score,
             jsonb_agg(jsonb_build_object('rule', r.rule, 'weight', round(r.weight::numeric, 2), 'at', to_char(r.of_at at time zone 'UTC', 'YYYY-MM-DD'),
               'words', r.words) order by r.weight desc, r.rule) filter (where r.place <= ${KEPT}) as evidence
        from ranked r
        join identity i on i.id = r.identity_id and i.kind <> 'human' and i.owner_state <> 'attested' and i.state <> 'retired'
       where r.identity_id <> r.owner_id
         and not exists (select from owner_decline d where d.identity_id = r.identity_id and d.owner_id = r.owner_id)
       group by r.identity_id, r.owner_id
    ), fit as (select * from candidate where score >= ${SCORE_MIN})`
  const { numAffectedRows: gone = 0n } = await sql`
    with ${weighed}
    delete from owner_candidate c where ${among(sql`c.identity_id`)} and not exists (select from fit f where f.identity_id = c.identity_id and f.owner_id = c.owner_id)`.execute(
    tx,
  )
  const { numAffectedRows: made = 0n } = await sql`
    with ${weighed}
    insert into owner_candidate as c (identity_id, owner_id, team, score, evidence)
    select identity_id, owner_id, team, score, evidence from fit
    on conflict (identity_id, owner_id) do update set team = excluded.team, score = excluded.score, evidence = excluded.evidence
     where (c.team, c.score, c.evidence) is distinct from (excluded.team, excluded.score, excluded.evidence)`.execute(
    tx,
  )
  const { count } = await tx
    .selectFrom('ownerCandidate')
    .select((is) => is.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return { candidates: count, changed: Number(gone + made) }
}
