import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { keyAfter, pageAfter, type Page } from '../kernel/page.ts'
import { notFound } from '../kernel/problem.ts'
import type { Purpose, PurposeQuery } from './schemas.ts'
import { isId } from './records.ts'

function purposes(db: Db) {
  return db
    .selectFrom('purpose')
    .select([
      'id',
      'name',
      'statement',
      'ownerTeam',
      'actions',
      'state',
      'proposedBy',
      'approvedBy',
      'createdAt',
      'expiresAt',
      'version',
      sql<string[]>`array(select p.target_id from purpose_target p where p.purpose_id = purpose.id order by 1)`.as(
        'targets',
      ),
    ])
}

export function loadPurpose(db: Db, id: string): Promise<Purpose | undefined> {
  return purposes(db).where('id', '=', id).executeTakeFirst()
}

export function loadPurposeByName(db: Db, name: string): Promise<Purpose | undefined> {
  return purposes(db).where('name', '=', name).executeTakeFirst()
}

/** By id or by name; an id wins. */
export async function findPurpose(db: Db, nameOrId: string): Promise<Purpose> {
  const found =
    (isId(nameOrId) ? await loadPurpose(db, nameOrId) : undefined) ?? (await loadPurposeByName(db, nameOrId))
  if (!found) throw notFound('There is no such purpose.', { type: 'Purpose', id: nameOrId })
  return found
}

export async function listPurposes(db: Db, query: PurposeQuery): Promise<Page<Purpose>> {
  let rows = purposes(db).where('name', '>', keyAfter(query.cursor))
  if (query.state) rows = rows.where('state', '=', query.state)
  if (query.ownerTeam) rows = rows.where('ownerTeam', '=', query.ownerTeam)
  const found = await rows
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (purpose) => purpose.name)
}

/** Whether a purpose is approved and still runs at `now`, and names this target and every one of these actions. */
export async function purposeCovers(
  db: Db,
  purposeId: string,
  targetId: string,
  actions: readonly string[],
  now: Date,
): Promise<boolean> {
  if (actions.length === 0) return false
  const found = await db
    .selectFrom('purpose')
    .innerJoin('purposeTarget', 'purposeTarget.purposeId', 'purpose.id')
    .select('purpose.id')
    .where('purpose.id', '=', purposeId)
    .where('purposeTarget.targetId', '=', targetId)
    .where('purpose.state', '=', 'approved')
    .where('purpose.expiresAt', '>', now)
    .where(sql<boolean>`purpose.actions @> ${[...actions]}::text[]`)
    .executeTakeFirst()
  return found !== undefined
}
