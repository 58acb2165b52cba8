import { linkTo } from '../../kernel/entity.ts'
import type { Db } from '../../kernel/db.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { keyAfter, pageAfter, type Page } from '../../kernel/page.ts'
import { notFound } from '../../kernel/problem.ts'
import type { z } from 'zod'
import type { Deposit, DepositDetail, listDeposits } from './contract.ts'

export const COLUMNS = [
  'id',
  'name',
  'ownerTeam',
  'purpose',
  'state',
  'version',
  'createdAt',
  'changedAt',
  'retiredAt',
] as const
const MOST = 200

/** What policies are told of a deposit. Throws `notFound`. */
export async function depositResource(db: Db, name: string): Promise<Resource> {
  return resourceOf(await mustFind(db, name))
}

/** The same of one that may not be there yet: then it is whose the input says it is to be. */
export async function depositToPut(db: Db, name: string, ownerTeam: string): Promise<Resource> {
  return resourceOf((await find(db, name)) ?? { id: name, state: 'new', ownerTeam })
}

export async function mustFind(db: Db, name: string): Promise<Deposit> {
  const row = await find(db, name)
  if (!row) throw notFound('There is no such deposit.', { type: 'Deposit', id: name })
  return row
}

function find(db: Db, name: string): Promise<Deposit | undefined> {
  return db.selectFrom('deposit').select(COLUMNS).where('name', '=', name).executeTakeFirst()
}

export async function list(db: Db, query: z.output<typeof listDeposits.query>): Promise<Page<Deposit>> {
  let rows = db.selectFrom('deposit').select(COLUMNS).orderBy('name')
  rows = rows.where('name', '>', keyAfter(query.cursor))
  if (query.ownerTeam !== undefined) rows = rows.where('ownerTeam', '=', query.ownerTeam)
  if (query.state !== undefined) rows = rows.where('state', '=', query.state)
  return pageAfter(await rows.limit(query.limit + 1).execute(), query.limit, (row) => row.name)
}

export async function read(db: Db, name: string): Promise<DepositDetail> {
  const deposit = await mustFind(db, name)
  const versions = await db
    .selectFrom('depositVersion')
    .select(['number', 'sizeBytes', 'createdAt', 'destroyedAt'])
    .where('depositId', '=', deposit.id)
    .orderBy('number', 'desc')
    .limit(MOST)
    .execute()
  const knownBy = await db
    .selectFrom('depositSight as s')
    .innerJoin('identity as i', 'i.id', 's.identityId')
    .select(['s.identityId', 'i.name as identityName', 's.number as version', 's.how', 's.at'])
    .where('s.depositId', '=', deposit.id)
    // Of one moment the entry that came later is the later one.
    .orderBy('s.cause', 'desc')
    .limit(MOST)
    .execute()
  return { ...deposit, versions, knownBy }
}

function resourceOf({
  id,
  state,
  ownerTeam,
}: Pick<Deposit, 'id' | 'ownerTeam'> & { readonly state: string }): Resource {
  return { type: 'Deposit', id, attributes: { id, state, ownerTeam: linkTo('Team', ownerTeam) } }
}
