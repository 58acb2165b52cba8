import { sql } from 'kysely'
import { z } from 'zod'
import type { Db, Tx } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import type { Wire } from '../../kernel/http/approval.ts'
import type { Caller, Resource } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import type { Seal } from '../../kernel/seal.ts'
import { teamsAsOf, type Teams } from '../../identities/identities.ts'
import { missingApprovals, parseApproval, type ApprovalFacts } from '../../policy/policy.ts'
import { countedOf, SPOKE, type Counted } from '../approvers.ts'
import { behind, orderOf, pageOfReviews, reviewFrom, scoreFirst } from '../reviews.ts'
import { DeterminingPolicy, Owed, type Approval as Said } from '../schemas.ts'
import { tiedToAny } from './consider.ts'
import { changeOver, type Change, type ChangeDetail, type ChangeQuery, type ChangeState } from './contract.ts'
import type { ChangeNeeds } from './needs.ts'
import { shownOf } from './shown.ts'

function changes(db: Db) {
  return db
    .selectFrom('change as c')
    .innerJoin('identity as requester', 'requester.id', 'c.requesterId')
    .leftJoin('reviewRisk as w', 'w.id', 'c.id')
    .selectAll('c')
    .select(['requester.name as requester', 'w.risk', 'w.weighedAt'])
}

type ChangeRow = Awaited<ReturnType<ReturnType<typeof changes>['execute']>>[number]

const AnyRecord = z.record(z.string(), z.unknown())

function changeFrom(row: ChangeRow): Change {
  const { id, operation, requesterId, requester, reason, hidden, policyVersion, state, refusal, version } = row
  const { createdAt, expiresAt, decidedAt, usedAt } = row
  return {
    id,
    operation,
    resource: { type: row.resourceType, id: row.resourceId },
    requesterId,
    requester,
    reason,
    params: AnyRecord.parse(row.params),
    query: AnyRecord.parse(row.query),
    input: AnyRecord.parse(row.shown),
    hidden,
    obligations: Owed.parse(row.obligations),
    policies: DeterminingPolicy.array().parse(row.policies),
    policyVersion,
    boundSha256: row.boundSha256.toString('hex'),
    state,
    refusal,
    createdAt,
    expiresAt,
    decidedAt,
    usedAt,
    review: reviewFrom(row.risk, row.weighedAt),
    version,
  }
}

export async function loadChange(db: Db, id: string): Promise<Change | undefined> {
  const row = await changes(db).where('c.id', '=', id).executeTakeFirst()
  return row && changeFrom(row)
}

export async function mustLoad(db: Db, id: string): Promise<Change> {
  const change = await loadChange(db, id)
  if (!change) throw unknownChange(id)
  return change
}

export type LockedChange = Awaited<ReturnType<typeof findRow>>

/** The row as it is; throws `notFound`. */
export async function findRow(db: Db, id: string) {
  const row = await db.selectFrom('change').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw unknownChange(id)
  return row
}

/** The row, locked until the transaction ends, if it is in one of these states and its time is not over. */
export async function lockOpen(
  tx: Tx,
  needs: Pick<ChangeNeeds, 'clock'>,
  id: string,
): Promise<LockedChange & { readonly state: 'pending' | 'approved' }> {
  const row = await tx.selectFrom('change').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!row) throw unknownChange(id)
  return openOf(row, needs.clock.now())
}

/** The row if something may still come of it; throws `changeOver`, also for one that ran out and was not swept yet. */
export function openOf<Row extends { readonly id: string; readonly state: ChangeState; readonly expiresAt: Date }>(
  row: Row,
  now: Date,
): Row & { readonly state: 'pending' | 'approved' } {
  const { state } = row
  if (state !== 'pending' && state !== 'approved') throw over(row.id, state)
  if (row.expiresAt <= now) throw over(row.id, 'expired')
  return { ...row, state }
}

export function over(changeId: string, state: ChangeState) {
  return changeOver(`The change is ${state} already.`, { changeId, state })
}

function unknownChange(id: string) {
  return notFound('There is no such change.', { type: 'Change', id })
}

/** Those who approved a change and still could. */
export async function approvalsOf(db: Db, teams: Teams, id: string): Promise<Counted[]> {
  const spoken = await db
    .selectFrom('changeApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(SPOKE)
    .where('a.changeId', '=', id)
    .where('a.verdict', '=', 'approve')
    .orderBy('identity.id')
    .execute()
  return countedOf(await teamsAsOf(db, teams), spoken)
}

/** Whose approval counts for a change, and what it asks for. */
export async function gateOf(
  db: Db,
  row: Pick<LockedChange, 'obligations' | 'ownerOfTarget' | 'ownerOfSubject' | 'tiedIds'>,
) {
  const { ownerOfTarget, ownerOfSubject } = row
  const facts: ApprovalFacts = { ownerOfTarget, ownerOfSubject, excluded: await tiedToAny(db, row.tiedIds) }
  return { gates: Owed.parse(row.obligations).approval.map(parseApproval), facts }
}

/** A change with what was said about it and what is missing. Approvers and who asked also see what is personal in the input. */
export async function loadChangeDetail(
  needs: ChangeNeeds,
  caller: Pick<Caller, 'id' | 'name'>,
  id: string,
): Promise<ChangeDetail> {
  const { db, teams } = needs
  const row = await changes(db).where('c.id', '=', id).executeTakeFirst()
  if (!row) throw unknownChange(id)
  const spoken = await db
    .selectFrom('changeApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(['a.approverId', 'identity.name as approver', 'a.verdict', 'a.boundSha256', 'a.comment', 'a.at'])
    .where('a.changeId', '=', id)
    .orderBy('a.at')
    .orderBy('a.approverId')
    .execute()
  const approvals: Said[] = spoken.map((said) => ({ ...said, boundSha256: said.boundSha256.toString('hex') }))
  const { gates, facts } = await gateOf(db, row)
  const own = teams.teamsOf(caller.name)
  const isClose = row.requesterId === caller.id || row.approverTeams.some((team) => own.includes(team))
  const isOpen = row.state === 'pending' || row.state === 'approved'
  return {
    ...changeFrom(row),
    ...(isClose && withPersonal(needs, row)),
    preview: row.preview,
    simulation: row.simulation,
    resourceFacts: AnyRecord.parse(row.resourceFacts),
    approvals,
    missing: isOpen ? missingApprovals(gates, await approvalsOf(db, teams, id), facts) : [],
  }
}

function withPersonal(needs: ChangeNeeds, row: ChangeRow): Pick<Change, 'input' | 'hidden'> | undefined {
  const schema = needs.routeOf(row.operation)?.operation.input
  if (!schema || row.sealedInput === null) return undefined
  const { input, hidden } = shownOf(schema, openInput(needs.seal, row).wire.input, true)
  return { input, hidden: [...hidden] }
}

/** Where a sealed input stands, as its associated data. */
export function placeOf(id: string): string {
  return `change.sealed_input:${id}`
}

const Sealed = z.object({ salt: z.string(), input: z.unknown().optional() })

/** The whole call as it came when it was asked for, with the salt of its digest. */
export function openInput(
  seal: Seal,
  row: Pick<LockedChange, 'id' | 'state' | 'sealedInput' | 'params' | 'query'>,
): { readonly wire: Wire; readonly salt: Buffer } {
  if (row.sealedInput === null) throw over(row.id, row.state)
  const opened: unknown = JSON.parse(seal.open(row.sealedInput, placeOf(row.id)).reveal().toString('utf8'))
  const { salt, input } = Sealed.parse(opened)
  return {
    wire: { params: AnyRecord.parse(row.params), query: AnyRecord.parse(row.query), input },
    salt: Buffer.from(salt, 'hex'),
  }
}

/** Newest first. The inbox holds what is pending, names a team of the caller's, and is not tied to them. */
export async function listChanges(
  needs: ChangeNeeds,
  caller: { readonly id: string; readonly name: string },
  query: ChangeQuery,
): Promise<{ items: Change[]; nextCursor: string | null }> {
  const { db, teams } = needs
  const order = orderOf(query)
  let rows = changes(db)
  if (query.cursor !== undefined) {
    rows = rows.where(behind(order, 'c', query.cursor))
  }
  if (query.state) rows = rows.where('c.state', '=', query.state)
  if (query.view === 'mine') rows = rows.where('c.requesterId', '=', caller.id)
  if (query.view === 'inbox') {
    rows = rows
      .where('c.state', '=', 'pending')
      .where('c.expiresAt', '>', needs.clock.now())
      .where(sql<boolean>`c.approver_teams && ${[...teams.teamsOf(caller.name)]}::text[]`)
      .where(
        sql<boolean>`not exists (select from change_approval a where a.change_id = c.id and a.approver_id = ${caller.id})`,
      )
  }
  const found = await rows
    .orderBy(scoreFirst(order), 'desc')
    .orderBy('c.createdAt', 'desc')
    .orderBy('c.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  const tied = new Map(found.map((row) => [row.id, row.tiedIds]))
  const { items, nextCursor } = pageOfReviews(found.map(changeFrom), query.limit, order)
  const open: Change[] = []
  for (const item of items) {
    const isTied = query.view === 'inbox' && (await tiedToAny(db, tied.get(item.id) ?? [])).has(caller.id)
    if (!isTied) open.push(item)
  }
  return { items: open, nextCursor }
}

/** What policies know of a change. */
export async function changeResource(db: Db, id: string): Promise<Resource> {
  const row = await findRow(db, id)
  return {
    type: 'Change',
    id,
    attributes: {
      id,
      state: row.state,
      operation: row.operation,
      requestedBy: row.requesterId,
      tiedIds: row.tiedIds,
      approverTeams: row.approverTeams.map((team) => linkTo('Team', team)),
    },
  }
}
