import { sql } from 'kysely'
import type { Db, Tx } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import { beyond, decodeCursor, page } from '../../kernel/http/cursor.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import type { Teams } from '../../identities/identities.ts'
import { missingApprovals, parseApproval, type ApprovalFacts } from '../../policy/policy.ts'
import { countedOf, SPOKE, type Counted } from '../approvers.ts'
import { tiedToAny } from '../changes/consider.ts'
import { holdOver, type Hold, type HoldDetail, type HoldQuery, type HoldState } from './schemas.ts'

function holds(db: Db) {
  return db
    .selectFrom('heldOperation as h')
    .innerJoin('accessGrant as g', 'g.id', 'h.grantId')
    .innerJoin('identity as subject', 'subject.id', 'g.subjectId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .innerJoin('account', 'account.id', 'g.accountId')
    .innerJoin('purpose', 'purpose.id', 'g.purposeId')
    .select([
      'h.id',
      'h.grantId',
      'h.useId as sessionId',
      'g.subjectId',
      'subject.name as subject',
      'g.onBehalfOfId',
      'g.targetId',
      'target.name as target',
      'account.name as account',
      'purpose.name as purpose',
      'h.class',
      'h.action',
      'h.label',
      'h.statement',
      'h.gates',
      'h.boundSha256',
      'h.state',
      'h.refusal',
      'h.createdAt',
      'h.expiresAt',
      'h.decidedAt',
      'h.usedAt',
      'h.version',
    ])
}

function holdFrom(row: Omit<Hold, 'boundSha256'> & { boundSha256: Buffer }): Hold {
  return { ...row, boundSha256: row.boundSha256.toString('hex') }
}

/** Throws `notFound`. */
export async function mustLoadHold(db: Db, id: string): Promise<Hold> {
  const row = await holds(db).where('h.id', '=', id).executeTakeFirst()
  if (!row) throw unknownHold(id)
  return holdFrom(row)
}

export type LockedHold = Awaited<ReturnType<typeof lockHold>>

/** The grant's row is locked before the hold's, as everywhere, so that its end and this take turns. */
export async function lockHold(tx: Tx, id: string) {
  const found = await tx.selectFrom('heldOperation').select('grantId').where('id', '=', id).executeTakeFirst()
  if (!found) throw unknownHold(id)
  const grant = await tx
    .selectFrom('accessGrant')
    .select(['id', 'requestId', 'endedAt', 'expiresAt'])
    .where('id', '=', found.grantId)
    .forShare()
    .executeTakeFirstOrThrow()
  const hold = await tx
    .selectFrom('heldOperation')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  return { ...hold, grant }
}

/** Whether something may still come of it: its own time, and that of its grant. */
export function isOpen(hold: LockedHold, now: Date): boolean {
  const { grant } = hold
  return hold.expiresAt > now && grant.endedAt === null && grant.expiresAt > now
}

export function over(holdId: string, state: HoldState) {
  return holdOver(`The operation is ${state} already.`, { holdId, state })
}

function unknownHold(id: string) {
  return notFound('There is no such hold.', { type: 'Hold', id })
}

/** Those who released it and still could. */
export async function releasesOf(db: Db, teams: Teams, id: string): Promise<Counted[]> {
  const spoken = await db
    .selectFrom('holdApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(SPOKE)
    .where('a.holdId', '=', id)
    .where('a.verdict', '=', 'release')
    .orderBy('identity.id')
    .execute()
  return countedOf(teams, spoken)
}

type Gated = { readonly id: string; readonly gates: readonly string[]; readonly grantId: string }

/** Whose word counts, and what has to be said. */
export async function gateOf(db: Db, { id, gates, grantId }: Gated) {
  const row = await db
    .selectFrom('heldOperation as h')
    .innerJoin('accessGrant as g', 'g.id', 'h.grantId')
    .innerJoin('accessRequest as r', 'r.id', 'g.requestId')
    .select([
      'h.ownerOfTarget',
      'h.ownerOfSubject',
      'r.requesterId',
      'r.subjectId',
      'r.onBehalfOfId',
      'r.triggeredById',
    ])
    .where('h.id', '=', id)
    .where('g.id', '=', grantId)
    .executeTakeFirstOrThrow()
  const { ownerOfTarget, ownerOfSubject } = row
  const excluded = await tiedToAny(
    db,
    [row.requesterId, row.subjectId, row.onBehalfOfId, row.triggeredById].filter((tied) => tied !== null),
  )
  const facts: ApprovalFacts = { ownerOfTarget, ownerOfSubject, excluded }
  return { gates: gates.map(parseApproval), facts }
}

export async function loadHoldDetail(db: Db, teams: Teams, id: string): Promise<HoldDetail> {
  const hold = await mustLoadHold(db, id)
  const rows = await db
    .selectFrom('holdApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(['a.approverId', 'identity.name as approver', 'a.verdict', 'a.boundSha256', 'a.comment', 'a.at'])
    .where('a.holdId', '=', id)
    .orderBy('a.at')
    .orderBy('a.approverId')
    .execute()
  const said = rows.map((row) => ({ ...row, boundSha256: row.boundSha256.toString('hex') }))
  const { gates, facts } = await gateOf(db, hold)
  const missing = hold.state === 'held' ? missingApprovals(gates, await releasesOf(db, teams, id), facts) : []
  return { ...hold, said, missing }
}

/** Newest first. The inbox holds what waits, names a team of the caller's, and is not tied to them. */
export async function listHolds(
  db: Db,
  needs: { readonly teams: Teams; readonly now: Date },
  caller: { readonly id: string; readonly name: string },
  query: HoldQuery,
) {
  let rows = holds(db)
  if (query.cursor !== undefined) {
    rows = rows.where(beyond(['h.created_at', 'h.id'], decodeCursor(query.cursor, ['instant', 'id']), '<'))
  }
  if (query.state) rows = rows.where('h.state', '=', query.state)
  if (query.view === 'mine') {
    rows = rows.where((row) => row.or([row('g.subjectId', '=', caller.id), row('g.onBehalfOfId', '=', caller.id)]))
  }
  if (query.view === 'inbox') {
    rows = rows
      .where('h.state', '=', 'held')
      .where('h.expiresAt', '>', needs.now)
      .where(sql<boolean>`h.approver_teams && ${[...needs.teams.teamsOf(caller.name)]}::text[]`)
      .where(
        sql<boolean>`not exists (select from hold_approval a where a.hold_id = h.id and a.approver_id = ${caller.id})`,
      )
  }
  const found = await rows
    .orderBy('h.createdAt', 'desc')
    .orderBy('h.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  const { items, nextCursor } = page(found.map(holdFrom), query.limit, (row) => [row.createdAt, row.id])
  if (query.view !== 'inbox') return { items, nextCursor }
  const open: Hold[] = []
  for (const item of items) if (!(await gateOf(db, item)).facts.excluded.has(caller.id)) open.push(item)
  return { items: open, nextCursor }
}

/** What policies know of a hold. */
export async function holdResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('heldOperation as h')
    .innerJoin('accessGrant as g', 'g.id', 'h.grantId')
    .innerJoin('accessRequest as r', 'r.id', 'g.requestId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .select([
      'h.id',
      'h.state',
      'h.approverTeams',
      'g.subjectId',
      'g.onBehalfOfId',
      'r.requesterId',
      'target.environment',
      'target.ownerTeam',
    ])
    .where('h.id', '=', id)
    .executeTakeFirst()
  if (!row) throw unknownHold(id)
  return {
    type: 'Hold',
    id,
    attributes: {
      id,
      state: row.state,
      subjectId: row.subjectId,
      requestedBy: row.requesterId,
      ...(row.onBehalfOfId !== null && { onBehalfOfId: row.onBehalfOfId }),
      environment: row.environment,
      ownerTeam: linkTo('Team', row.ownerTeam),
      approverTeams: row.approverTeams.map((team) => linkTo('Team', team)),
    },
  }
}
