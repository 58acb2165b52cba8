import type { Db } from '../kernel/db.ts'
import { beyond, decodeCursor, page } from '../kernel/http/cursor.ts'
import type { Page } from '../kernel/page.ts'
import { CASE_COLUMNS, noSuchCase } from './cases.ts'
import { Dependencies, type CaseDetail, type CaseQuery, type LifecycleCase } from './contract.ts'
import { obligationsOf } from './obligations.ts'

export async function listCases(db: Db, query: CaseQuery): Promise<Page<LifecycleCase>> {
  let rows = db
    .selectFrom('lifecycleCase')
    .innerJoin('identity', 'identity.id', 'lifecycleCase.identityId')
    .select(CASE_COLUMNS)
  if (query.state) rows = rows.where('lifecycleCase.state', '=', query.state)
  if (query.reason) rows = rows.where('lifecycleCase.reason', '=', query.reason)
  if (query.isHeld !== undefined) rows = rows.where('heldBecause', query.isHeld ? 'is not' : 'is', null)
  if (query.isOpen !== undefined) rows = rows.where('overAt', query.isOpen ? 'is' : 'is not', null)
  if (query.cursor !== undefined) {
    rows = rows.where(beyond(['lifecycle_case.id'], decodeCursor(query.cursor, ['id']), '<'))
  }
  const found = await rows
    .orderBy('lifecycleCase.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return page(found, query.limit, (row) => [row.id])
}

export async function readCase(db: Db, id: string, now: Date): Promise<CaseDetail> {
  const found = await db
    .selectFrom('lifecycleCase')
    .innerJoin('identity', 'identity.id', 'lifecycleCase.identityId')
    .select([...CASE_COLUMNS, 'lifecycleCase.dependencies'])
    .where('lifecycleCase.id', '=', id)
    .executeTakeFirst()
  if (!found) throw noSuchCase(id)
  const { dependencies, ...row } = found
  return {
    ...row,
    dependencies: dependencies === null ? null : Dependencies.parse(dependencies),
    obligations: await obligationsOf(db, { caseId: id, identityId: row.identityId, now }),
  }
}
