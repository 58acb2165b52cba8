import { sql } from 'kysely'
import { loadSource, placedId } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { beyond, decodeCursor, page } from '../../kernel/http/cursor.ts'
import { Id } from '../../kernel/ids.ts'
import { notFound } from '../../kernel/problem.ts'
import type { PathDetail, PathPage, PathQuery, ReachDetail, Thing } from './contract.ts'
import { EDGE_KINDS } from './edge-kinds.ts'
import { forwardFrom, type Step } from './forward.ts'
import { HUBS, stepsOf, thingAt, thingsOf } from './things.ts'
import { waysCoverage } from './unseen.ts'

/** Steps of one way that are told; longer ones are told to here. */
const STEPS_MAX = 64
const REACHED_TOLD = 1_000
const HOPS_TOP = 32_767

/** What comes to tier 0, the nearest first. */
export async function listPaths(db: Db, clock: Clock, query: PathQuery): Promise<PathPage> {
  const { cursor, limit, node = 'principal', source, to } = query
  const of = source === undefined ? undefined : await loadSource(db, source)
  let rows = db.selectFrom('escalation').select(['id', 'hops', 'edge', 'nextId', 'goalId']).where('node', '=', node)
  if (of) rows = rows.where('sourceId', '=', of.id)
  if (to !== undefined) rows = rows.where('goalId', '=', to)
  if (cursor !== undefined) {
    const [hops, id = ''] = decodeCursor(cursor, ['number', 'id'])
    rows = rows.where(beyond(['hops', 'id'], [Math.min(Math.max(Number(hops), -1), HOPS_TOP), id]))
  }
  const found = await rows
    .orderBy('hops')
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = page(found, limit, ({ hops, id }) => [hops, id])
  const things = await thingsOf(db, [...new Set(items.flatMap(({ id, nextId, goalId }) => [id, nextId ?? id, goalId]))])
  return {
    items: items.map(({ id, hops, edge, nextId, goalId }) => {
      const kind = EDGE_KINDS.find((each) => each === edge)
      return {
        from: thingAt(things, id),
        hops,
        edge: kind ?? null,
        next: nextId === null ? null : thingAt(things, nextId, (kind && HUBS[kind]) ?? 'where several meet'),
        goal: thingAt(things, goalId),
      }
    }),
    nextCursor,
    pass: await lastPass(db),
    coverage: await waysCoverage(db, clock, of?.id),
  }
}

async function lastPass(db: Db) {
  const row = await db
    .selectFrom('graphPass')
    .select(['beganAt', 'endedAt', 'nodes', 'edges', 'reaching'])
    .executeTakeFirst()
  return row ?? null
}

/** The shortest way from one thing to tier 0, as it was last looked at; or now, to one other thing. Throws `notFound`. */
export async function readPath(db: Db, clock: Clock, nameOrId: string, to?: string): Promise<PathDetail> {
  const from = await findThing(db, nameOrId)
  const walked = to === undefined ? await walkToTier0(db, from.id) : await walkTo(db, from.id, to, clock.now())
  const steps = await stepsOf(db, walked ?? [])
  return {
    from,
    isFound: walked !== undefined,
    goal: walked === undefined ? null : (steps.at(-1)?.to ?? from),
    steps,
    pass: await lastPass(db),
    coverage: await waysCoverage(db, clock),
  }
}

/** Undefined where no way is seen; empty for what is tier 0 itself. */
export async function walkToTier0(db: Db, id: string): Promise<Step[] | undefined> {
  const { rows } = await sql<{ id: string; edge: string | null; nextId: string | null; evidenceId: string | null }>`
    with recursive way (at, id, edge, next_id, evidence_id) as (
      select 0, e.id, e.edge, e.next_id, e.evidence_id from escalation e where e.id = ${id}
      union all
      select w.at + 1, e.id, e.edge, e.next_id, e.evidence_id from way w join escalation e on e.id = w.next_id where w.at < ${STEPS_MAX}
    ) select id, edge, next_id as "nextId", evidence_id as "evidenceId" from way order by at`.execute(db)
  if (rows.length === 0) return undefined
  return rows.flatMap(({ id: fromId, edge, nextId, evidenceId }) => {
    const kind = EDGE_KINDS.find((each) => each === edge)
    return kind && nextId !== null && evidenceId !== null ? [{ fromId, toId: nextId, kind, evidenceId }] : []
  })
}

async function walkTo(db: Db, fromId: string, to: string, now: Date): Promise<Step[] | undefined> {
  const { steps } = await forwardFrom(db, fromId, now)
  const back: Step[] = []
  for (let here = to; here !== fromId;) {
    const step = steps.get(here)
    if (!step) return undefined
    back.push(step)
    here = step.fromId
  }
  return back.toReversed()
}

/** All that one thing leads to, the nearest first. Throws `notFound`. */
export async function readReach(db: Db, clock: Clock, nameOrId: string): Promise<ReachDetail> {
  const from = await findThing(db, nameOrId)
  const { steps, isCut } = await forwardFrom(db, from.id, clock.now())
  const walked = [...steps.values()]
  const goals = await tier0Of(
    db,
    walked.map(({ toId }) => toId),
  )
  // What matters is shown, however far it is.
  const told = [...walked.filter(({ toId }) => goals.has(toId)), ...walked.filter(({ toId }) => !goals.has(toId))]
    .slice(0, REACHED_TOLD)
    .toSorted((a, b) => a.hops - b.hops)
  const inWords = await stepsOf(db, told)
  const reached = inWords.map((step, at) => ({
    ...step,
    hops: told[at]?.hops ?? 0,
    isTier0: goals.has(step.to.id),
  }))
  return {
    from,
    reached,
    tier0: goals.size,
    isCut: isCut || walked.length > reached.length,
    coverage: await waysCoverage(db, clock),
  }
}

async function tier0Of(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set()
  const { rows } = await sql<{ id: string }>`
    select id from escalation where id = any (${ids}) and hops = 0`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

async function findThing(db: Db, nameOrId: string): Promise<Thing> {
  const id = Id.safeParse(nameOrId).success ? nameOrId : await placedId(db, nameOrId)
  const byId = id === undefined ? undefined : (await thingsOf(db, [id])).get(id)
  if (byId) return byId
  const row = await db
    .selectFrom('identity')
    .select(['id', 'name', 'kind'])
    .where('name', '=', nameOrId)
    .executeTakeFirst()
  if (!row)
    throw notFound('There is no such thing in the record or the inventory.', { type: 'GraphThing', id: nameOrId })
  return { id: row.id, node: 'identity', name: row.name, type: row.kind, source: null }
}
