import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { beyond, decodeCursor, page } from '../kernel/http/cursor.ts'
import { parseApproval, missingApprovals } from '../policy/policy.ts'
import type { Teams } from '../identities/identities.ts'
import { tiedPeople } from '../identities/identities.ts'
import { approvalsOf } from './approvers.ts'
import { behind, orderOf, pageOfReviews, reviewFrom, scoreFirst } from './reviews.ts'
import { DeterminingPolicy, Owed } from './contract.ts'
import type { AccessRequest, AccessRequestDetail, Approval, Grant, GrantQuery, RequestQuery } from './contract.ts'

function requests(db: Db) {
  return db
    .selectFrom('accessRequest as r')
    .innerJoin('identity as requester', 'requester.id', 'r.requesterId')
    .innerJoin('identity as subject', 'subject.id', 'r.subjectId')
    .leftJoin('identity as person', 'person.id', 'r.onBehalfOfId')
    .innerJoin('target', 'target.id', 'r.targetId')
    .innerJoin('account', 'account.id', 'r.accountId')
    .innerJoin('purpose', 'purpose.id', 'r.purposeId')
    .leftJoin('accessGrant as g', 'g.requestId', 'r.id')
    .leftJoin('reviewRisk as w', 'w.id', 'r.id')
    .select([
      'r.id',
      'r.requesterId',
      'requester.name as requester',
      'r.triggeredById',
      'r.subjectId',
      'subject.name as subject',
      'r.onBehalfOfId',
      'person.name as onBehalfOf',
      'r.targetId',
      'target.name as target',
      'r.accountId',
      'account.name as account',
      'r.actions',
      'r.parserEnforced',
      'r.purposeId',
      'purpose.name as purpose',
      'r.ticket',
      'r.task',
      'r.reason',
      'r.askedTtlSeconds',
      'r.ttlSeconds',
      'r.askedUses',
      'r.uses',
      'r.connections',
      'r.isKeptAlive',
      'r.mode',
      'r.waived',
      'r.obligations',
      'r.policies',
      'r.policyVersion',
      'r.boundSha256',
      'r.state',
      'r.refusal',
      'r.createdAt',
      'r.expiresAt',
      'r.decidedAt',
      'g.id as grantId',
      'w.risk',
      'w.weighedAt',
      'r.version',
    ])
}

type RequestRow = Omit<AccessRequest, 'obligations' | 'policies' | 'boundSha256' | 'warnings' | 'review'> & {
  risk: unknown
  weighedAt: Date | null
  obligations: unknown
  policies: unknown
  boundSha256: Buffer
}

/** `jsonb` comes back unknown and the hash as bytes; the rest is the row. */
function requestFrom({ risk, weighedAt, ...row }: RequestRow): AccessRequest {
  return {
    ...row,
    review: reviewFrom(risk, weighedAt),
    warnings: warningsOf(row),
    obligations: Owed.parse(row.obligations),
    policies: DeterminingPolicy.array().parse(row.policies),
    boundSha256: row.boundSha256.toString('hex'),
  }
}

type Given = Pick<AccessRequest, 'askedUses' | 'uses' | 'mode' | 'waived'>

/** What who asks should be told of what is given: less than was asked for, and what a target that only warns would have refused. */
export function warningsOf({ askedUses, uses, mode, waived }: Given): string[] {
  const cut = askedUses !== null && uses !== null && uses < askedUses
  return [
    ...(cut ? [`The policies give ${uses} use(s), not the ${askedUses} that were asked for.`] : []),
    ...(mode === 'warn' ? waived.map((owed) => `This target only warns; it would have been refused: ${owed}`) : []),
  ]
}

export async function loadRequest(db: Db, id: string): Promise<AccessRequest | undefined> {
  const row = await requests(db).where('r.id', '=', id).executeTakeFirst()
  return row && requestFrom(row)
}

/** A request with what was said about it and what is missing, by the teams people are in now. */
export async function loadRequestDetail(
  db: Db,
  teams: Teams,
  id: string,
): Promise<Omit<AccessRequestDetail, 'risk'> | undefined> {
  const request = await loadRequest(db, id)
  if (!request) return undefined
  const spoken = await db
    .selectFrom('requestApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(['a.approverId', 'identity.name as approver', 'a.verdict', 'a.boundSha256', 'a.comment', 'a.at'])
    .where('a.requestId', '=', id)
    .orderBy('a.at')
    .orderBy('a.approverId')
    .execute()
  const approvals: Approval[] = spoken.map((row) => ({ ...row, boundSha256: row.boundSha256.toString('hex') }))
  const facts = await approvalFactsOf(db, request)
  const missing = missingApprovals(
    request.obligations.approval.map(parseApproval),
    await approvalsOf(db, teams, id),
    facts,
  )
  const decisionPath = {
    controlOwner: facts.ownerOfTarget,
    approverTeams: facts.approverTeams,
    operator: request.subject,
  }
  return { ...request, approvals, decisionPath, missing: request.state === 'pending' ? missing : [] }
}

async function approvalFactsOf(db: Db, request: AccessRequest) {
  const row = await db
    .selectFrom('accessRequest as r')
    .innerJoin('identity as subject', 'subject.id', 'r.subjectId')
    .innerJoin('target', 'target.id', 'r.targetId')
    .select(['target.ownerTeam as ownerOfTarget', 'subject.ownerTeam as ownerOfSubject', 'r.approverTeams'])
    .where('r.id', '=', request.id)
    .executeTakeFirstOrThrow()
  return { ...row, excluded: await tiedToRequest(db, request) }
}

async function tiedToRequest(db: Db, request: AccessRequest): Promise<ReadonlySet<string>> {
  const ids = [request.requesterId, request.subjectId, request.onBehalfOfId, request.triggeredById]
  const tied = new Set<string>()
  for (const id of ids) if (id !== null) for (const person of await tiedPeople(db, id)) tied.add(person)
  return tied
}

/** By risk or newest first. The inbox holds what is pending, names a team of the caller's, and is not tied to them. */
export async function listRequests(
  db: Db,
  needs: { readonly teams: Teams; readonly now: Date },
  caller: { readonly id: string; readonly name: string },
  query: RequestQuery,
) {
  const order = orderOf(query)
  let rows = requests(db)
  if (query.cursor !== undefined) {
    rows = rows.where(behind(order, 'r', query.cursor))
  }
  if (query.state) rows = rows.where('r.state', '=', query.state)
  if (query.view === 'mine') {
    rows = rows.where((row) =>
      row.or([
        row('r.requesterId', '=', caller.id),
        row('r.subjectId', '=', caller.id),
        row('r.onBehalfOfId', '=', caller.id),
      ]),
    )
  }
  if (query.view === 'inbox') {
    rows = rows
      .where('r.state', '=', 'pending')
      .where('r.expiresAt', '>', needs.now)
      .where(sql<boolean>`r.approver_teams && ${[...needs.teams.teamsOf(caller.name)]}::text[]`)
      .where(
        sql<boolean>`not exists (select from request_approval a where a.request_id = r.id and a.approver_id = ${caller.id})`,
      )
  }
  const found = await rows
    .orderBy(scoreFirst(order), 'desc')
    .orderBy('r.createdAt', 'desc')
    .orderBy('r.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  const { items, nextCursor } = pageOfReviews(found.map(requestFrom), query.limit, order)
  if (query.view !== 'inbox') return { items, nextCursor }
  const open: AccessRequest[] = []
  for (const item of items) if (!(await tiedToRequest(db, item)).has(caller.id)) open.push(item)
  return { items: open, nextCursor }
}

function grants(db: Db) {
  return db
    .selectFrom('accessGrant as g')
    .innerJoin('identity as subject', 'subject.id', 'g.subjectId')
    .leftJoin('identity as person', 'person.id', 'g.onBehalfOfId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .innerJoin('account', 'account.id', 'g.accountId')
    .innerJoin('purpose', 'purpose.id', 'g.purposeId')
    .select([
      'g.id',
      'g.requestId',
      'g.subjectId',
      'subject.name as subject',
      'g.onBehalfOfId',
      'person.name as onBehalfOf',
      'g.targetId',
      'target.name as target',
      'g.accountId',
      'account.name as account',
      'g.actions',
      'g.parserEnforced',
      'g.purposeId',
      'purpose.name as purpose',
      'g.ticket',
      'g.task',
      'g.recording',
      'g.maxUses',
      'g.uses',
      'g.maxConnections',
      'g.isKeptAlive',
      'g.startsAt',
      'g.expiresAt',
      'g.endedAt',
      'g.endReason',
      'g.endComment',
      'g.endedById',
      'g.policyVersion',
      'g.riskScore',
      'g.version',
    ])
    .select((row) =>
      row
        .selectFrom('lease')
        .select(({ fn }) => fn.max('lease.residualBefore').as('residualBefore'))
        .whereRef('lease.grantId', '=', 'g.id')
        .where('lease.state', '<>', 'dead')
        .as('residualBefore'),
    )
}

export function loadGrant(db: Db, id: string): Promise<Grant | undefined> {
  return grants(db).where('g.id', '=', id).executeTakeFirst()
}

/** Newest first. */
export async function listGrants(db: Db, now: Date, caller: { readonly id: string }, query: GrantQuery) {
  let rows = grants(db)
  if (query.cursor !== undefined) {
    rows = rows.where(beyond(['g.starts_at', 'g.id'], decodeCursor(query.cursor, ['instant', 'id']), '<'))
  }
  if (query.view === 'mine') {
    rows = rows.where((row) => row.or([row('g.subjectId', '=', caller.id), row('g.onBehalfOfId', '=', caller.id)]))
  }
  if (query.subject !== undefined) rows = rows.where('subject.name', '=', query.subject)
  if (query.target !== undefined) rows = rows.where('target.name', '=', query.target)
  if (query.isLive === true) rows = rows.where('g.endedAt', 'is', null).where('g.expiresAt', '>', now)
  if (query.isLive === false)
    rows = rows.where((row) => row.or([row('g.endedAt', 'is not', null), row('g.expiresAt', '<=', now)]))
  const found = await rows
    .orderBy('g.startsAt', 'desc')
    .orderBy('g.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return page(found, query.limit, (row) => [row.startsAt, row.id])
}
