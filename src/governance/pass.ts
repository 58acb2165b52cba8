import { sql } from 'kysely'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'

/** The one row of what looks at everything at once. */
type Pass = 'graph_pass' | 'finding_pass'

/** Without news everything is looked at again after so long: what was entered here moves it too. */
const EVERY_SECONDS = 900
/** What a reading told is looked at soon, but what looks at everything rests ten times as long as it took. */
const REST_SECONDS = 10
const REST_FACTOR = 10

/** What a pass is for: what makes it due, and after how long one that did not end was of a node that died. */
export type Passing = { readonly pass: Pass; readonly follows: readonly News[]; readonly lostSeconds: number }
type News = 'readings' | 'ways' | 'adoptions'

const NEWS: Readonly<Record<News, string>> = {
  readings: 'select from source s where s.read_at >= p.began_at',
  adoptions: 'select from adoption_run r where r.ended_at >= p.began_at',
  ways: 'select from graph_pass g where g.ended_at >= p.began_at',
}

/** A pass that this node goes on with. `giveBack`: as if it had not begun. */
export type Claim = { readonly beganAt: Date; readonly giveBack: () => Promise<void> }

/** Begins a pass where one is due; undefined where nothing is, or somebody else is at it. */
export function claimDuePass(db: Db, clock: Clock, passing: Passing): Promise<Claim | undefined> {
  const now = clock.now()
  const news = passing.follows.map((each) => `exists (${NEWS[each]})`).join(' or ')
  return claim(
    db,
    now,
    passing,
    sql`p.ended_at <= ${secondsAfter(now, -EVERY_SECONDS)}
        or (${sql.raw(news)})
           and p.ended_at + ${REST_FACTOR} * (p.ended_at - p.began_at) + make_interval(secs => ${REST_SECONDS}) <= ${now}`,
  )
}

/** Begins a pass unless somebody is at it. */
export function claimPass(db: Db, clock: Clock, passing: Passing): Promise<Claim | undefined> {
  const now = clock.now()
  return claim(db, now, passing, sql`p.ended_at <= ${now}`)
}

/** A pass that fails, or whose caller goes away, is given back: only one whose node died is waited for. */
export async function within<T>({ beganAt, giveBack }: Claim, pass: (beganAt: Date) => Promise<T>): Promise<T> {
  try {
    return await pass(beganAt)
  } catch (error) {
    // Why it failed is told; that it could not be given back only makes the next one wait.
    await giveBack().catch(() => undefined)
    throw error
  }
}

type Before = { readonly beganAt: Date | null; readonly endedAt: Date | null }

async function claim(
  db: Db,
  now: Date,
  { pass, lostSeconds }: Passing,
  due: ReturnType<typeof sql>,
): Promise<Claim | undefined> {
  const lost = secondsAfter(now, -lostSeconds)
  const { rows } = await sql<Before>`
    with before as (select p.began_at, p.ended_at from ${sql.table(pass)} p)
    insert into ${sql.table(pass)} as p (began_at) values (${now})
    on conflict (is_only) do update set began_at = excluded.began_at, ended_at = null
      where (p.ended_at is not null and (${due})) or (p.ended_at is null and p.began_at <= ${lost})
    returning (select b.began_at from before b) as "beganAt", (select b.ended_at from before b) as "endedAt"`.execute(
    db,
  )
  const [before] = rows
  if (!before) return undefined
  // What was begun and never ended counts as lost once more, so that anybody may begin.
  const began = before.endedAt === null ? lost : before.beganAt
  const giveBack = async () => {
    await sql`
      update ${sql.table(pass)} set began_at = ${began}, ended_at = ${before.endedAt}
       where began_at = ${now} and ended_at is null`.execute(db)
  }
  return { beganAt: now, giveBack }
}
