import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import { beyond, decodeCursor, page } from '../../kernel/http/cursor.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import { signalType, signalUri, type SignalType } from '../../policy/contract.ts'
import type { SignalInForce } from '../../policy/policy.ts'
import type { Signal, SignalQuery } from './contract.ts'

function signals(db: Db) {
  return db
    .selectFrom('signal as s')
    .innerJoin('identity as sender', 'sender.id', 's.senderId')
    .leftJoin('identity', 'identity.id', 's.identityId')
    .leftJoin('target', 'target.id', 's.targetId')
    .select([
      's.id',
      's.senderId',
      'sender.name as sender',
      's.jti',
      's.type',
      's.about',
      's.aboutId',
      's.identityId',
      'identity.name as identity',
      's.targetId',
      'target.name as target',
      's.severity',
      's.reason',
      's.occurredAt',
      's.receivedAt',
      's.expiresAt',
      's.endedGrants',
      's.withdrawnAt',
      's.withdrawnById',
      's.version',
    ])
}

type Row = Omit<Signal, 'uri' | 'type'> & { readonly type: string }

function signalFrom(row: Row): Signal {
  const type = typeOf(row.type)
  return { ...row, type, uri: signalUri(type) }
}

/** A name that this release does not know was written by a newer one. */
function typeOf(name: string): SignalType {
  const type = signalType(name)
  if (!type) throw new Error(`${name} is no type of signal that this release knows`)
  return type
}

export async function loadSignal(db: Db, id: string): Promise<Signal | undefined> {
  const row = await signals(db).where('s.id', '=', id).executeTakeFirst()
  return row && signalFrom(row)
}

export async function findSignal(db: Db, id: string): Promise<Signal> {
  const found = await loadSignal(db, id)
  if (!found) throw notFound('There is no such signal.', { type: 'Signal', id })
  return found
}

/** The signal that a sender has sent under this jti. */
export async function loadByJti(db: Db, senderId: string, jti: string): Promise<Signal | undefined> {
  const row = await signals(db).where('s.senderId', '=', senderId).where('s.jti', '=', jti).executeTakeFirst()
  return row && signalFrom(row)
}

/** Newest first. */
export async function listSignals(db: Db, now: Date, query: SignalQuery) {
  let rows = signals(db)
  if (query.cursor !== undefined) {
    rows = rows.where(beyond(['s.received_at', 's.id'], decodeCursor(query.cursor, ['instant', 'id']), '<'))
  }
  if (query.identity !== undefined) rows = rows.where('identity.name', '=', query.identity)
  if (query.target !== undefined) rows = rows.where('target.name', '=', query.target)
  if (query.sender !== undefined) rows = rows.where('sender.name', '=', query.sender)
  if (query.type !== undefined) rows = rows.where('s.type', '=', query.type)
  if (query.isInForce === true) rows = rows.where('s.withdrawnAt', 'is', null).where('s.expiresAt', '>', now)
  if (query.isInForce === false)
    rows = rows.where((row) => row.or([row('s.withdrawnAt', 'is not', null), row('s.expiresAt', '<=', now)]))
  const found = await rows
    .orderBy('s.receivedAt', 'desc')
    .orderBy('s.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return page(found.map(signalFrom), query.limit, (row) => [row.receivedAt, row.id])
}

/** As many as one answer weighs; the worst are among them. */
const WEIGHED = 200

/** What is in force of who acts and of the target; `of` says which of the two a signal is about. */
export async function signalsInForce(
  db: Db,
  about: { readonly identityIds: readonly string[]; readonly targetId: string },
  now: Date,
): Promise<(SignalInForce & { readonly of: 'identity' | 'target' })[]> {
  const rows = await signals(db)
    .where((row) => row.or([row('s.identityId', 'in', [...about.identityIds]), row('s.targetId', '=', about.targetId)]))
    .where('s.expiresAt', '>', now)
    .where('s.withdrawnAt', 'is', null)
    .orderBy(sql`array_position(array['critical', 'high', 'medium', 'low'], s.severity)`)
    .orderBy('s.expiresAt', 'desc')
    .limit(WEIGHED)
    .execute()
  return rows.map(({ type, severity, sender, identity, target, receivedAt, expiresAt }) => ({
    type: typeOf(type),
    severity,
    sender,
    about: identity ?? target ?? 'nothing that is known',
    receivedAt,
    expiresAt,
    of: identity === null ? 'target' : 'identity',
  }))
}

/** What policies know of a signal; of one that is only being received, whom it would be about is not told before the sender may send. */
export function signalResource(facts: {
  readonly id: string
  readonly type: string
  readonly about: string
  readonly senderId: string
  readonly isRegistered: boolean
  readonly subjectId?: string | null
  readonly ownerTeam?: string | null
}): Resource {
  const { id, type, about, senderId, isRegistered, subjectId, ownerTeam } = facts
  return {
    type: 'Signal',
    id,
    attributes: {
      id,
      type,
      about,
      requestedBy: senderId,
      registered: isRegistered,
      ...(subjectId && { subjectId }),
      ...(ownerTeam && { ownerTeam: linkTo('Team', ownerTeam) }),
    },
  }
}
