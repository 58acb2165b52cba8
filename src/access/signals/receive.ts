import { sql } from 'kysely'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Caller } from '../../kernel/http/route.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { loadTarget, loadTargetByName } from '../../catalog/catalog.ts'
import { actOf, loadIdentity, loadIdentityByName, tiedPeople } from '../../identities/identities.ts'
import { signalType, type SignalType } from '../../policy/contract.ts'
import { endGrant, endGrantsOf, type EndedGrant, type GrantsOf } from '../end.ts'
import type { AccessNeeds } from '../needs.ts'
import {
  LONGEST_SIGNAL_SECONDS,
  ownSignal,
  SIGNAL_SECONDS,
  signalDiffers,
  signalReceived,
  tooManySignals,
  type ReceiveSignal,
  type Signal,
} from './contract.ts'
import { findSignal, loadByJti } from './records.ts'

/** How far two clocks may be apart. */
const SKEW_SECONDS = 300
/** In force at once, of one sender: in all, and about one subject. A flood ends here, and what it said is entered up to here. */
const MOST = 10_000
const MOST_ABOUT_ONE = 50

export type Received = {
  readonly signal: Signal
  /** To be announced on this node once it is committed. */
  readonly ended: readonly EndedGrant[]
}

type Subject = {
  readonly aboutId: string
  /** Whom it comes to; of a target, what. */
  readonly identityId: string | null
  readonly targetId: string | null
  readonly grants: GrantsOf | { readonly grantId: string } | null
}

/**
 * Takes a signal: one row, one entry, and the end of the grants it is about where the risk model says that its type ends them. Sent again it is
 * the same signal, and nothing happens.
 */
export async function receiveSignal(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'signal.receive'>,
  { caller, input }: { readonly caller: Caller; readonly input: ReceiveSignal },
): Promise<Received> {
  const type = signalType(input.type)
  if (!type) throw invalid('type', 'this is no type of signal')
  const now = needs.clock.now()
  // One sender's signals take turns, so that its bounds hold and a jti is received once.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`signal of ${caller.id}`}, 0))`.execute(tx)
  const subject = await subjectOf(tx, input)
  const known = await loadByJti(tx, caller.id, input.jti)
  if (known) return { signal: sameAs(known, input, { type, subject }), ended: [] }
  const expiresAt = input.expiresAt ?? secondsAfter(now, SIGNAL_SECONDS)
  mustBeOfNow(input, expiresAt, now)
  await mustBeAboutAnother(tx, caller.id, subject)
  await mustNotFlood(tx, caller.id, subject, now)
  const id = newId(needs.clock, needs.random)
  const isEnding = needs.decisions.riskModel().signals.ends.includes(type) && subject.grants !== null
  const { about, jti, severity, reason, occurredAt } = input
  const { aboutId, identityId, targetId } = subject
  const told = { jti, type, about, aboutId, identityId, targetId, severity, reason, occurredAt, expiresAt }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: signalReceived,
    resource: { type: 'Signal', id },
    ...(identityId !== null && { subjectId: identityId }),
    facts: { ...told, endsGrants: isEnding },
  })
  const ended = isEnding ? await endThose(tx, needs, subject.grants, sentenceOf(caller.name, type)) : []
  await tx
    .insertInto('signal')
    .values({
      ...told,
      id,
      senderId: caller.id,
      receivedAt: now,
      endedGrants: ended.length,
      withdrawnAt: null,
      withdrawnById: null,
      cause,
    })
    .execute()
  return { signal: await findSignal(tx, id), ended }
}

/** Only names of the record: what the sender wrote is for who reads the signal, and not for a terminal that it cuts. */
function sentenceOf(sender: string, type: SignalType): string {
  return `${sender} reported ${type}`
}

async function endThose(
  tx: Tx,
  needs: AccessNeeds,
  of: Subject['grants'],
  comment: string,
): Promise<readonly EndedGrant[]> {
  if (of === null) return []
  const end = { reason: 'signal-received', comment } as const
  if (!('grantId' in of)) return endGrantsOf(tx, needs, of, end)
  const ended = await endGrant(tx, needs, { ...end, grantId: of.grantId })
  return ended ? [ended] : []
}

/** A replay is the same signal; anything else under its jti is refused, since it would change what was said. */
function sameAs(known: Signal, input: ReceiveSignal, now: { type: SignalType; subject: Subject }): Signal {
  const isSame =
    known.type === now.type &&
    known.about === input.about &&
    known.aboutId === now.subject.aboutId &&
    known.severity === input.severity &&
    known.reason === input.reason &&
    known.occurredAt.getTime() === input.occurredAt.getTime() &&
    (input.expiresAt === undefined || known.expiresAt.getTime() === input.expiresAt.getTime())
  if (isSame) return known
  throw signalDiffers('You sent another signal under this jti; a new one needs a new jti.', { signalId: known.id })
}

function mustBeOfNow({ occurredAt }: ReceiveSignal, expiresAt: Date, now: Date): void {
  if (occurredAt > secondsAfter(now, SKEW_SECONDS)) throw invalid('occurredAt', 'this has not happened yet')
  if (occurredAt < secondsAfter(now, -LONGEST_SIGNAL_SECONDS)) throw invalid('occurredAt', 'this is 30 days ago')
  if (expiresAt <= now) throw invalid('expiresAt', 'this is over already')
  if (expiresAt > secondsAfter(now, LONGEST_SIGNAL_SECONDS)) throw invalid('expiresAt', 'it lasts 30 days at most')
}

/** Nobody lowers or raises what is said of themselves, a person also not by a machine of theirs. */
export async function mustBeAboutAnother(db: Db, byId: string, { identityId }: Pick<Subject, 'identityId'>) {
  if (identityId === null) return
  const isOwn = identityId === byId || (await tiedPeople(db, byId)).has(identityId)
  if (isOwn) throw ownSignal('This is about you, or about a person who answers for you: let somebody else say it.', {})
}

async function mustNotFlood(tx: Tx, senderId: string, { identityId, targetId }: Subject, now: Date): Promise<void> {
  const inForce = tx
    .selectFrom('signal')
    .select('id')
    .where('senderId', '=', senderId)
    .where('expiresAt', '>', now)
    .where('withdrawnAt', 'is', null)
  const about =
    identityId === null ? inForce.where('targetId', '=', targetId) : inForce.where('identityId', '=', identityId)
  const one = await about.limit(MOST_ABOUT_ONE).execute()
  if (one.length >= MOST_ABOUT_ONE) throw tooMany(MOST_ABOUT_ONE, 'about one subject')
  const all = await tx
    .selectFrom(inForce.limit(MOST).as('s'))
    .select((row) => row.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  if (all.count >= MOST) throw tooMany(MOST, 'in all')
}

function tooMany(most: number, where: string) {
  return tooManySignals(`${most} signals of yours are in force ${where}. Withdraw some, or wait for them to end.`, {
    most,
  })
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What the sender names, as the record has it. One answer for everything that is not there. */
async function subjectOf(tx: Tx, { about, subject }: ReceiveSignal): Promise<Subject> {
  const found = await SUBJECTS[about](tx, subject)
  if (!found) throw notFound(`There is no such ${about}.`, { type: about, id: subject })
  return found
}

const SUBJECTS: Readonly<Record<ReceiveSignal['about'], (tx: Tx, subject: string) => Promise<Subject | undefined>>> = {
  async identity(tx, subject) {
    const found = (UUID.test(subject) && (await loadIdentity(tx, subject))) || (await loadIdentityByName(tx, subject))
    if (!found) return undefined
    return { aboutId: found.id, identityId: found.id, targetId: null, grants: { identityId: found.id } }
  },
  async target(tx, subject) {
    const found = (UUID.test(subject) && (await loadTarget(tx, subject))) || (await loadTargetByName(tx, subject))
    if (!found) return undefined
    return { aboutId: found.id, identityId: null, targetId: found.id, grants: { targetId: found.id } }
  },
  async session(tx, subject) {
    if (!UUID.test(subject)) return undefined
    const row = await tx
      .selectFrom('session as s')
      .innerJoin('accessGrant as g', 'g.id', 's.grantId')
      .select(['g.id', 'g.subjectId'])
      .where('s.id', '=', subject)
      .executeTakeFirst()
    return row && { aboutId: subject, identityId: row.subjectId, targetId: null, grants: { grantId: row.id } }
  },
  /** A token of the API, by which grants are asked for, or what proves one grant. */
  async credential(tx, subject) {
    if (!UUID.test(subject)) return undefined
    const token = await tx.selectFrom('apiToken').select('identityId').where('id', '=', subject).executeTakeFirst()
    if (token) {
      const { identityId } = token
      return { aboutId: subject, identityId, targetId: null, grants: { identityId } }
    }
    const proof = await tx
      .selectFrom('grantProof as p')
      .innerJoin('accessGrant as g', 'g.id', 'p.grantId')
      .select(['g.id', 'g.subjectId'])
      .where('p.id', '=', subject)
      .executeTakeFirst()
    return proof && { aboutId: subject, identityId: proof.subjectId, targetId: null, grants: { grantId: proof.id } }
  },
}
