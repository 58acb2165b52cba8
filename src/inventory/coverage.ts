import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { SourceScope, type Coverage } from './schemas.ts'

const SHOWN = 100
/** A reading that is so late is a part of what is not seen. */
const OVERDUE_SECONDS = 86_400

type Unseen = Coverage['unseen'][number]

/** What an answer about these sources does not see; of all of them when none is named. */
export async function coverageOf(db: Db, clock: Clock, sourceId?: string): Promise<Coverage> {
  const late = secondsAfter(clock.now(), -OVERDUE_SECONDS)
  let rows = db
    .selectFrom('source')
    .select(['id', 'name', 'readAt', 'nextReadAt', 'problem'])
    .where('state', '=', 'active')
  if (sourceId !== undefined) rows = rows.where('id', '=', sourceId)
  const sources = await rows.orderBy('name').execute()
  const scopes = await countScopes(db, sourceId)
  const { unseen: ofScopes, total } = await unseenScopes(db, sourceId)
  const ofSources: Unseen[] = sources.flatMap(({ name, readAt, nextReadAt, problem }) => {
    const whole = { source: name, scope: null, seenAt: readAt, what: 'the source' }
    if (problem !== null) return [{ ...whole, status: 'failed', why: problem }]
    if (readAt === null) return [{ ...whole, status: 'never', why: 'it was not read yet' }]
    return nextReadAt !== null && nextReadAt < late
      ? [{ ...whole, status: 'overdue', why: 'its last reading is older than its schedule' }]
      : []
  })
  if (sources.length === 0) {
    ofSources.push({
      source: 'none',
      scope: null,
      status: 'never',
      seenAt: null,
      what: 'everything',
      why: 'no source is registered',
    })
  }
  const unseen = [...ofSources, ...ofScopes].slice(0, SHOWN)
  const all = ofSources.length + total
  return { isWhole: all === 0, sources: sources.length, scopes, unseen, more: all - unseen.length }
}

async function countScopes(db: Db, sourceId: string | undefined): Promise<Record<string, number>> {
  let rows = db
    .selectFrom('sourceScope as c')
    .innerJoin('source as s', 's.id', 'c.sourceId')
    .select([sql<string>`coalesce(c.status, 'never')`.as('status'), (is) => is.fn.countAll<number>().as('count')])
    .where('s.state', '=', 'active')
    .where('c.state', '=', 'active')
  if (sourceId !== undefined) rows = rows.where('s.id', '=', sourceId)
  const counted = await rows.groupBy('c.status').execute()
  return Object.fromEntries(counted.map(({ status, count }) => [status, count]))
}

async function unseenScopes(db: Db, sourceId: string | undefined): Promise<{ unseen: Unseen[]; total: number }> {
  let rows = db
    .selectFrom('sourceScope as c')
    .innerJoin('source as s', 's.id', 'c.sourceId')
    .where('s.state', '=', 'active')
    .where('c.state', '=', 'active')
    .where(
      sql<boolean>`c.status is distinct from 'complete' and c.status is distinct from 'unchanged' or c.missing <> '[]'`,
    )
  if (sourceId !== undefined) rows = rows.where('s.id', '=', sourceId)
  const { total } = await rows
    .select(sql<number>`coalesce(sum(greatest(1, jsonb_array_length(c.missing))), 0)::int`.as('total'))
    .executeTakeFirstOrThrow()
  const found = await rows
    .select(['s.name', 'c.scope', 'c.status', 'c.seenAt', 'c.missing'])
    .orderBy('s.name')
    .orderBy('c.scope')
    .limit(SHOWN)
    .execute()
  const unseen = found.flatMap(({ name, scope, status, seenAt, missing }) => {
    const told = SourceScope.shape.missing.parse(missing)
    const all = told.length > 0 ? told : [{ what: 'some of it', why: 'the last reading did not see it whole' }]
    return all.map((each) => ({ source: name, scope, status: status ?? 'never', seenAt, ...each }))
  })
  return { unseen, total }
}
