import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { END_CHANNEL } from '../access/access.ts'
import { actOf } from '../identities/identities.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { sessionOver, sessionStopAsked, type Session } from './contract.ts'
import { findSession } from './records.ts'

/** On the channel of ends a grant's hint is its id, a session's is its id behind this. A payload is a hint; the row is the news. */
const SESSION_HINT = 'session:'

/** Asks the node that holds a session to cut it. Asking twice is one ask. */
export async function stopSession(
  tx: Tx,
  needs: { readonly clock: Clock; readonly ledger: Ledger },
  permit: Permit<'session.end'>,
  reason: string,
): Promise<Session> {
  const { id } = permit.resource
  const row = await tx
    .selectFrom('session')
    .select(['grantId', 'stopAskedAt', 'endedAt'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw notFound(`There is no session ${id}.`, { type: 'Session', id })
  const { endedAt } = row
  if (endedAt) throw sessionOver(`Session ${id} is over already.`, { sessionId: id, endedAt })
  if (row.stopAskedAt === null) {
    const cause = await needs.ledger.record(tx, {
      event: sessionStopAsked,
      ...actOf(permit),
      resource: { type: 'Session', id },
      grantId: row.grantId,
      outcome: 'announced',
      facts: { reason },
    })
    await tx
      .updateTable('session')
      .set({ stopAskedAt: needs.clock.now(), cause })
      .where('id', '=', id)
      .where('endedAt', 'is', null)
      .execute()
    await sql`select pg_notify(${END_CHANNEL}, ${SESSION_HINT + id})`.execute(tx)
  }
  return findSession(tx, id)
}

/** Sessions of a node that somebody asked to end. */
export async function stopsAsked(db: Db, nodeId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('session')
    .select('id')
    .where('nodeId', '=', nodeId)
    .where('endedAt', 'is', null)
    .where('stopAskedAt', 'is not', null)
    .execute()
  return rows.map((row) => row.id)
}
