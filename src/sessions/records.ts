import { z } from 'zod'
import type { Db } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import { pageAfter, keyAfter, type Page } from '../kernel/page.ts'
import { invalidInput, notFound } from '../kernel/problem.ts'
import type { Session, SessionQuery } from './contract.ts'

/** A session as it is shown. Undefined when there is none. */
async function loadSession(db: Db, id: string): Promise<Session | undefined> {
  return shownSessions(db).where('session.id', '=', id).executeTakeFirst()
}

/** The same, or a `notFound` problem. */
export async function findSession(db: Db, id: string): Promise<Session> {
  const session = await loadSession(db, id)
  if (!session) throw notFound(`There is no session ${id}.`, { type: 'Session', id })
  return session
}

/** Newest first. */
export async function listSessions(db: Db, query: SessionQuery): Promise<Page<Session>> {
  let found = shownSessions(db)
    .orderBy('session.id', 'desc')
    .limit(query.limit + 1)
  if (query.cursor !== undefined) found = found.where('session.id', '<', uuidAfter(query.cursor))
  if (query.isLive !== undefined) found = found.where('session.endedAt', query.isLive ? 'is' : 'is not', null)
  if (query.grantId !== undefined) found = found.where('session.grantId', '=', query.grantId)
  if (query.subject !== undefined) found = found.where('subject.name', '=', query.subject)
  if (query.target !== undefined) found = found.where('target.name', '=', query.target)
  return pageAfter(await found.execute(), query.limit, (row) => row.id)
}

function uuidAfter(cursor: string): string {
  const parsed = z.uuid().safeParse(keyAfter(cursor))
  if (parsed.success) return parsed.data
  const issues = [{ path: 'cursor', message: 'not a cursor of this list' }]
  throw invalidInput('The cursor is not one of this list; start without one.', { issues })
}

/** What policies know of a session. */
export async function sessionResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('session')
    .innerJoin('target', 'target.id', 'session.targetId')
    .innerJoin('accessGrant', 'accessGrant.id', 'session.grantId')
    .innerJoin('accessRequest', 'accessRequest.id', 'accessGrant.requestId')
    .select([
      'session.id',
      'session.subjectId',
      'session.endedAt',
      'accessGrant.onBehalfOfId',
      'accessRequest.requesterId',
      'target.environment',
      'target.ownerTeam',
    ])
    .where('session.id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound(`There is no session ${id}.`, { type: 'Session', id })
  return {
    type: 'Session',
    id,
    attributes: {
      id,
      state: row.endedAt === null ? 'live' : 'ended',
      subjectId: row.subjectId,
      requestedBy: row.requesterId,
      ...(row.onBehalfOfId !== null && { onBehalfOfId: row.onBehalfOfId }),
      environment: row.environment,
      ownerTeam: linkTo('Team', row.ownerTeam),
    },
  }
}

function shownSessions(db: Db) {
  return db
    .selectFrom('session')
    .innerJoin('identity as subject', 'subject.id', 'session.subjectId')
    .innerJoin('target', 'target.id', 'session.targetId')
    .innerJoin('account', 'account.id', 'session.accountId')
    .select([
      'session.id',
      'session.grantId',
      'session.subjectId',
      'subject.name as subjectName',
      'session.targetId',
      'target.name as targetName',
      'account.name as accountName',
      'session.nodeId',
      'session.gateway',
      'session.clientAddress',
      'session.startedAt',
      'session.stopAskedAt',
      'session.endedAt',
      'session.endReason',
      'session.recording',
      'session.operations',
      'session.rowCount',
      'session.sizeBytes',
      'session.lateOperations',
    ])
}
