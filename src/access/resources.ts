import type { Db } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import { notFound } from '../kernel/problem.ts'

/** What policies know of a request. */
export async function requestResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('accessRequest as r')
    .innerJoin('target', 'target.id', 'r.targetId')
    .select([
      'r.id',
      'r.state',
      'r.subjectId',
      'r.requesterId',
      'r.onBehalfOfId',
      'r.approverTeams',
      'target.environment',
      'target.ownerTeam',
    ])
    .where('r.id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such request.', { type: 'AccessRequest', id })
  return {
    type: 'AccessRequest',
    id,
    attributes: {
      ...factsOf(row),
      approverTeams: row.approverTeams.map((team) => linkTo('Team', team)),
    },
  }
}

/** What policies know of a grant. */
export async function grantResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('accessGrant as g')
    .innerJoin('accessRequest as r', 'r.id', 'g.requestId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .select([
      'g.id',
      'g.endedAt',
      'g.subjectId',
      'r.requesterId',
      'g.onBehalfOfId',
      'target.environment',
      'target.ownerTeam',
    ])
    .where('g.id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such grant.', { type: 'Grant', id })
  return { type: 'Grant', id, attributes: factsOf({ ...row, state: row.endedAt ? 'ended' : 'live' }) }
}

type Row = {
  readonly id: string
  readonly state: string
  readonly subjectId: string
  readonly requesterId: string
  readonly onBehalfOfId: string | null
  readonly environment: string
  readonly ownerTeam: string
}

function factsOf(row: Row) {
  return {
    id: row.id,
    state: row.state,
    subjectId: row.subjectId,
    requestedBy: row.requesterId,
    ...(row.onBehalfOfId !== null && { onBehalfOfId: row.onBehalfOfId }),
    environment: row.environment,
    ownerTeam: linkTo('Team', row.ownerTeam),
  }
}
