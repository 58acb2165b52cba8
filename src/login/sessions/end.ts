import { sql } from 'kysely'
import { actOf, endTokens } from '../../identities/identities.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { SYSTEM, type Actor, type Fact } from '../../ledger/ledger.ts'
import { loginSessionsEnded } from '../events.ts'
import type { SessionNeeds } from '../needs.ts'
import type { EndReason, LoginSession } from '../schemas.ts'
import { SESSION_COLUMNS } from './open.ts'

type EndNeeds = Pick<SessionNeeds, 'clock' | 'ledger'>

/** Which open logins are meant: some by id, all of a person, or those of a subject or session at a provider. */
export type Which =
  | { readonly ids: readonly string[] }
  | { readonly identityId: string }
  | { readonly issuer: string; readonly subject: string | null; readonly session: string | null }

type End = {
  readonly why: EndReason
  readonly actor?: Actor
  readonly reason?: string
  readonly act?: ReturnType<typeof actOf>
}

/** An entry names so many; more than that is nobody's number of logins. */
const MOST_NAMED = 1_000

/**
 * Ends logins and everything given for them, in this transaction: cookies and codes look at the row, tokens are ended one by one, so that
 * nodes which remember a caller hear of it at once. Programs that were let in from a session are sessions of their own and go on.
 */
export async function endLoginSessions(tx: Tx, needs: EndNeeds, which: Which, end: End): Promise<readonly string[]> {
  const now = needs.clock.now()
  const sessions = await openSessions(tx, which)
  const [first] = sessions
  if (!first) return []
  const ids = sessions.map(({ id }) => id)
  const tokens = await tx
    .selectFrom('apiToken')
    .select('id')
    .where('loginSessionId', 'in', ids)
    .where('revokedAt', 'is', null)
    .where('expiresAt', '>', now)
    .execute()
  const tokenIds = tokens.map(({ id }) => id)
  const about: Pick<Fact, 'actor' | 'action' | 'resource' | 'outcome'> = end.act ?? {
    actor: end.actor ?? SYSTEM,
    action: 'login-session.end',
    resource: ids.length === 1 ? { type: 'LoginSession', id: first.id } : { type: 'Identity', id: first.identityId },
    outcome: 'done',
  }
  const cause = await needs.ledger.record(tx, {
    ...about,
    event: loginSessionsEnded,
    subjectId: first.identityId,
    facts: {
      sessionIds: ids.slice(0, MOST_NAMED),
      tokenIds: tokenIds.slice(0, MOST_NAMED),
      why: end.why,
      reason: end.reason ?? null,
    },
  })
  await tx
    .updateTable('loginSession')
    .set({ endedAt: now, endReason: end.why, sealedIdToken: null, cause })
    .where('id', 'in', ids)
    .where('endedAt', 'is', null)
    .execute()
  await endTokens(tx, tokenIds, { now, cause })
  await tx.deleteFrom('loginCookie').where('sessionId', 'in', ids).execute()
  return ids
}

async function openSessions(
  tx: Tx,
  which: Which,
): Promise<readonly { readonly id: string; readonly identityId: string }[]> {
  let open = tx.selectFrom('loginSession').select(['id', 'identityId']).where('endedAt', 'is', null)
  if ('ids' in which) open = which.ids.length === 0 ? open.where(sql.lit(false)) : open.where('id', 'in', which.ids)
  else if ('identityId' in which) open = open.where('identityId', '=', which.identityId)
  else {
    open = open.where('issuer', '=', which.issuer)
    if (which.subject !== null) open = open.where('subject', '=', which.subject)
    if (which.session !== null) open = open.where('providerSession', '=', which.session)
  }
  // A token that is being issued holds the session still, and is seen after it.
  return open.orderBy('id').forUpdate().execute()
}

/** For the transaction that stops an identity. */
export async function endLoginSessionsOf(tx: Tx, needs: EndNeeds, identityId: string): Promise<void> {
  await endLoginSessions(tx, needs, { identityId }, { why: 'identity-ended' })
}

/** Ends one login, as somebody asked who may. */
export async function endLoginSession(
  tx: Tx,
  needs: EndNeeds,
  permit: Permit<'login-session.end'>,
  { reason }: { readonly reason?: string | undefined },
): Promise<LoginSession> {
  const { id } = permit.resource
  const why = 'ended'
  const ended = await endLoginSessions(
    tx,
    needs,
    { ids: [id] },
    { why, act: actOf(permit), ...(reason !== undefined && { reason }) },
  )
  const row = await tx.selectFrom('loginSession').select(SESSION_COLUMNS).where('id', '=', id).executeTakeFirst()
  if (!row) throw notFound('There is no such login.', { type: 'LoginSession', id })
  if (ended.length === 0) throw conflict('The login ended already.', { type: 'LoginSession', id, state: 'ended' })
  return row
}

/** So many are ended at once. */
const SWEEP_AT_ONCE = 200

/** Makes true in the rows what time has decided: logins past their bound, and those that nobody used. */
export async function sweepLoginSessions(tx: Tx, needs: EndNeeds): Promise<number> {
  const now = needs.clock.now()
  const { rows } = await sql<{ id: string; isOver: boolean }>`
    select s.id, s.expires_at <= ${now} as is_over
      from login_session s join login_activity a on a.session_id = s.id
     where s.ended_at is null
       and (s.expires_at <= ${now} or a.seen_at + make_interval(secs => s.idle_seconds) <= ${now})
     order by s.id
     limit ${SWEEP_AT_ONCE}
       for update of s skip locked`.execute(tx)
  for (const [why, isOver] of [
    ['expired', true],
    ['idle', false],
  ] as const) {
    const ids = rows.filter((row) => row.isOver === isOver).map(({ id }) => id)
    await endLoginSessions(tx, needs, { ids }, { why })
  }
  return rows.length
}
