import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { beyond, decodeCursor, page, type CursorValue } from '../kernel/http/cursor.ts'
import { loadActions, loadAccountById, loadTarget } from '../catalog/catalog.ts'
import type { Risk } from '../policy/policy.ts'
import { askedOf } from './as-asked.ts'
import { knownIdentity } from './chain.ts'
import { RiskTold, type ReviewRisk } from './contract.ts'
import type { AccessNeeds } from './needs.ts'
import { riskOfAct, riskTold, type Risky } from './risk.ts'

type Needs = Pick<AccessNeeds, 'clock' | 'calendar' | 'decisions' | 'standing'>

/** Weighed in one call, those never weighed first; what is left waits for the next. */
const BATCH = 50
/** The order of an inbox may be so old. */
const AGAIN_SECONDS = 60

/**
 * Weighs the risk of what waits for people, by the one model, so that they find the worst first. It changes no record: what is decided is
 * decided with the risk of that moment.
 */
export async function weighPending(db: Db, needs: Needs): Promise<number> {
  const now = needs.clock.now()
  const { rows } = await sql<{ id: string; isChange: boolean }>`
    select p.id, p.is_change as "isChange"
      from (select id, false as is_change from access_request where state = 'pending' and expires_at > ${now}
             union all
            select id, true from change where state = 'pending' and expires_at > ${now}) p
      left join review_risk w on w.id = p.id
     where w.id is null or w.weighed_at <= ${secondsAfter(now, -AGAIN_SECONDS)}
     order by w.weighed_at nulls first, p.id
     limit ${BATCH}`.execute(db)
  for (const { id, isChange } of rows) {
    const risk = await (isChange ? riskOfChange(db, needs, id) : riskOfRequest(db, needs, id))
    const weighed = { score: risk.score, risk: JSON.stringify(riskTold(risk)), weighedAt: now }
    await db
      .insertInto('reviewRisk')
      .values({ id, ...weighed })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(weighed))
      .execute()
  }
  return rows.length
}

async function riskOfRequest(db: Db, needs: Needs, id: string): Promise<Risk> {
  const row = await db.selectFrom('accessRequest').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  const asked = await askedOf(db, row)
  const entries = await loadActions(db, asked.actions)
  return (await riskOfAct(db, needs, asked, { entries, address: undefined })).risk
}

/** Whoever changes Reeve itself reaches everything that it guards. */
const REEVE = {
  target: { id: '00000000-0000-0000-0000-000000000000', name: 'Reeve', environment: 'production', sensitivity: 0 },
  account: { tier: 0 },
} as const

/** A call of one of Reeve's own operations is an act of who asked for it, on the target that it is about or on Reeve. */
async function riskOfChange(db: Db, needs: Needs, id: string): Promise<Risk> {
  const row = await db
    .selectFrom('change')
    .select(['requesterId', 'proof', 'operation', 'resourceType', 'resourceId'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const chain = { subject: await knownIdentity(db, row.requesterId), onBehalfOf: null, proof: row.proof }
  const entries = await loadActions(db, [row.operation])
  return (await riskOfAct(db, needs, { chain, ...(await placeOf(db, row)) }, { entries, address: undefined })).risk
}

async function placeOf(
  db: Db,
  { resourceType, resourceId }: { readonly resourceType: string; readonly resourceId: string },
): Promise<Pick<Risky, 'target' | 'account'>> {
  const account = resourceType === 'Account' ? await loadAccountById(db, resourceId) : undefined
  const target = await loadTargetOf(db, resourceType === 'Target' ? resourceId : account?.targetId)
  return target ? { target, account: account ?? { tier: target.sensitivity } } : REEVE
}

async function loadTargetOf(db: Db, id: string | undefined) {
  return id === undefined ? undefined : loadTarget(db, id)
}

/** How a list of what is reviewed is ordered. */
export type ReviewOrder = 'newest' | 'risk'

/** The worst first where people decide, the newest first where they look back. */
export function orderOf(query: { readonly view: string; readonly order?: ReviewOrder | undefined }): ReviewOrder {
  return query.order ?? (query.view === 'inbox' ? 'risk' : 'newest')
}

/** What was not weighed yet comes first: a risk that is not known counts in full. */
const UNWEIGHED = 101

/** The place of a list behind a cursor, for a table that is joined with `w`. */
export function behind(order: ReviewOrder, alias: 'r' | 'c', cursor: string) {
  if (order === 'newest') {
    return beyond([`${alias}.created_at`, `${alias}.id`], decodeCursor(cursor, ['instant', 'id']), '<')
  }
  const [score, createdAt, id] = decodeCursor(cursor, ['number', 'instant', 'id'])
  return sql<boolean>`(coalesce(w.score, ${UNWEIGHED}), ${sql.ref(`${alias}.created_at`)}, ${sql.ref(`${alias}.id`)}) < (${score}, ${createdAt}, ${id})`
}

type Listed = {
  readonly id: string
  readonly createdAt: Date
  readonly review: ReviewRisk | null
}

/** A page in that order. An item whose risk is weighed anew between two pages may move from one to the other. */
export function pageOfReviews<Row extends Listed>(rows: readonly Row[], limit: number, order: ReviewOrder) {
  const keyOf = ({ id, createdAt, review }: Row): CursorValue[] =>
    order === 'newest' ? [createdAt, id] : [review?.score ?? UNWEIGHED, createdAt, id]
  return page(rows, limit, keyOf)
}

/** What the list orders by, before the rest. */
export function scoreFirst(order: ReviewOrder) {
  return order === 'newest' ? sql`1` : sql`coalesce(w.score, ${sql.lit(UNWEIGHED)})`
}

/** The columns `w.risk` and `w.weighed_at` as they are shown. */
export function reviewFrom(risk: unknown, weighedAt: Date | null): ReviewRisk | null {
  const told = RiskTold.safeParse(risk).data
  return told && weighedAt ? { ...told, weighedAt } : null
}
