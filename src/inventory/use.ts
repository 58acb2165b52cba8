import { sql } from 'kysely'
import { z } from 'zod'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { Instant } from '../kernel/instant.ts'
import type { UseAnswer } from './schemas.ts'

const DAY_SECONDS = 86_400
/** A reading a day: what happened since the last one is told by the next. */
const LAG_DAYS = 2
/** Holes in what was watched that are told; there may be more. */
const GAPS_TOLD = 20
const NAMED = 3
/** What a login cannot do without leaving. A window over statements alone misses who only logs in. */
const LOGINS = ['auth', 'session', 'api-call']

type Row = {
  readonly id: string
  readonly name: string
  readonly lastAt: Date | null
  readonly sampled: boolean
  /** Of a credential: when whom it proves was last used in that time, where its own windows do not tell by which login. */
  readonly provedAt: Date | null
  readonly proves: string | null
  readonly gaps: readonly (readonly [string, string])[]
  readonly gapCount: number
}

const Gaps = z.array(z.tuple([Instant, Instant]))

/**
 * Whether anything used one of `subjects` (principals, or credentials with a use of their own) in the last `days`. Three answers: used; provably
 * unused, since every login of all of that time would have been told; or it cannot be said, and why.
 */
export async function useOf(
  db: Db,
  subjects: readonly string[],
  { days, now }: { readonly days: number; readonly now: Date },
): Promise<UseAnswer> {
  const since = secondsAfter(now, -days * DAY_SECONDS)
  const until = secondsAfter(now, -Math.min(LAG_DAYS, days) * DAY_SECONDS)
  const asked = { since, until }
  if (subjects.length === 0)
    return { ...asked, is: 'cannot-be-said', lastAt: null, gaps: [], why: ['no source tells of it'] }
  const rows = await watched(db, subjects, since, until)
  const times = rows.flatMap((row) => row.lastAt ?? [])
  const lastAt = times.toSorted((one, other) => other.getTime() - one.getTime())[0] ?? null
  if (lastAt && lastAt >= since) return { ...asked, is: 'used', lastAt, gaps: [], why: [] }
  // Somebody came in as whom it proves, and by what was not told: it may have been this.
  const unclear = rows.filter(({ provedAt }) => provedAt !== null)
  const blind = rows.filter(({ gapCount }) => gapCount > 0)
  const missing = subjects.length - rows.length
  if (blind.length === 0 && missing === 0 && unclear.length === 0)
    return { ...asked, is: 'unused', lastAt, gaps: [], why: [] }
  const [first] = blind
  const why = [
    ...unclear
      .slice(0, NAMED)
      .map(
        ({ name, proves, provedAt }) =>
          `${proves ?? 'whom it proves'} was used at ${provedAt?.toISOString() ?? ''}, and whether by ${name} was not told`,
      ),
    ...blind.slice(0, NAMED).map(({ name, gapCount, sampled }) => blindOf(name, gapCount, sampled)),
    ...(blind.length > NAMED ? [`${blind.length - NAMED} more were not watched all the time`] : []),
    ...(missing > 0 ? [`${missing} of what stands for it is in no source`] : []),
  ]
  return { ...asked, is: 'cannot-be-said', lastAt, gaps: Gaps.parse(first?.gaps ?? []), why }
}

function blindOf(name: string, gaps: number, sampled: boolean): string {
  const only = sampled ? ', and some of it only by samples' : ''
  return `logins of ${name} would not have been seen in ${gaps} stretch${gaps === 1 ? '' : 'es'} of that time${only}`
}

/** What is not covered by a window of every login of the subject, of its principal or of all principals of its source. */
async function watched(db: Db, subjects: readonly string[], since: Date, until: Date): Promise<Row[]> {
  const { rows } = await sql<Row>`
    with asked as (
      select p.id, p.name, p.scope_id, null::uuid as principal_id from observed_principal p where p.id = any (${subjects})
      union all
      select k.id, k.name, k.scope_id, k.principal_id from observed_credential k where k.id = any (${subjects})
    ), holes as (
      select a.id, tstzmultirange(tstzrange(${since}, ${until})) - coalesce((
               select range_agg(w.seen) from usage_window w
                where w.sees = 'every-use' and w.semantics = any (${LOGINS})
                  and (w.subject_id = a.id or w.subject_id = a.principal_id
                    or w.subject_id is null and (a.principal_id is not null or exists (select from observed_principal p where p.id = a.id))
                       and w.scope_id in (select x.id from source_scope x join source_scope y on y.source_id = x.source_id where y.id = a.scope_id))
             ), '{}') as hole,
             tstzmultirange(tstzrange(${since}, ${until})) - coalesce((
               select range_agg(w.seen) from usage_window w
                where w.sees = 'every-use' and w.semantics = any (${LOGINS}) and w.subject_id = a.id), '{}') as own
        from asked a
    )
    select a.id, a.name, q.name as proves,
           -- Who logs in with a credential of a principal logs in as it.
           (select max(u.last_at) from observed_usage u
             where u.subject_id = a.id
                or a.principal_id is null and u.subject_id in (select k.id from observed_credential k where k.principal_id = a.id)) as "lastAt",
           case when not isempty(h.own) then (
             select max(u.last_at) from observed_usage u where u.subject_id = a.principal_id and u.last_at >= ${since}) end as "provedAt",
           exists (select from usage_window w where w.sees = 'samples' and w.subject_id = a.id
                     or w.sees = 'samples' and w.subject_id is null
                        and w.scope_id in (select x.id from source_scope x join source_scope y on y.source_id = x.source_id where y.id = a.scope_id)) as sampled,
           (select count(*)::int from unnest(h.hole) r) as "gapCount",
           coalesce((select jsonb_agg(jsonb_build_array(${instant('lower(r.r)')}, ${instant('upper(r.r)')})) from (
              select r from unnest(h.hole) r limit ${GAPS_TOLD}) r), '[]') as gaps
      from asked a join holes h on h.id = a.id left join observed_principal q on q.id = a.principal_id
     order by a.name, a.id`.execute(db)
  return rows
}

function instant(of: string) {
  return sql.raw(`to_char(${of} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`)
}
