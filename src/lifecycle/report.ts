import { endGrant } from '../access/access.ts'
import { actOf, actorOf, findIdentity, type IdentityAct } from '../identities/identities.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import { decodeCursor, beyond, page } from '../kernel/http/cursor.ts'
import type { Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { ensureCase } from './cases.ts'
import { EventType, LifecycleEvent, type ReportEvent } from './contract.ts'
import { lifecycleReported } from './events.ts'
import type { LifecycleNeeds } from './needs.ts'

/** How many identities one event may send on their way, and how many grants it may end. */
const MOST = 200
/** What is reported of the future is a mistake; clocks differ by less. */
const AHEAD_MS = 300_000

const COLUMNS = ['id', 'senderId', 'eventId', 'type', 'subject', 'occurredAt', 'receivedAt', 'outcome'] as const

const Outcome = LifecycleEvent.shape.outcome

type Subject = { readonly text: string; readonly identityIds: readonly string[]; readonly grantIds: readonly string[] }

/**
 * Takes what a system reports once: identities go to a case, grants of a finished job or a closed ticket end now. Sent again it changes nothing and
 * is answered as the first time; the same name for something else is a conflict.
 */
export async function reportEvent(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: Permit<'lifecycle-event.report'>,
  input: ReportEvent,
): Promise<LifecycleEvent> {
  const now = needs.clock.now()
  if (input.occurredAt.getTime() > now.getTime() + AHEAD_MS) throw invalid('occurredAt', 'this has not happened yet')
  const subject = await subjectOf(tx, input)
  const known = await knownEvent(tx, permit.subject.id, input.eventId)
  if (known) return sameEvent(known, input, subject.text)
  const act = actOf(permit)
  const id = newId(needs.clock, needs.random)
  const cases = await openCases(tx, needs, act, { input, subject })
  const endedGrants = await endGrants(tx, needs, permit, subject)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: lifecycleReported,
    resource: { type: 'LifecycleEvent', id },
    facts: {
      eventId: input.eventId,
      type: input.type,
      subject: subject.text,
      occurredAt: input.occurredAt,
      cases,
      endedGrants,
    },
  })
  const made = await tx
    .insertInto('lifecycleEvent')
    .values({
      id,
      senderId: permit.subject.id,
      eventId: input.eventId,
      type: input.type,
      subject: subject.text,
      occurredAt: input.occurredAt,
      receivedAt: now,
      outcome: JSON.stringify({ cases, endedGrants }),
      cause,
    })
    .onConflict((on) => on.constraint('lifecycle_event_is_received_once').doNothing())
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!made) throw conflict('The same event arrives at this very moment.', eventState(input.eventId))
  return shownEvent(made)
}

type Row = Omit<LifecycleEvent, 'outcome' | 'type'> & { readonly type: string; readonly outcome: unknown }

function shownEvent({ type, outcome, ...row }: Row): LifecycleEvent {
  return { ...row, type: EventType.parse(type), outcome: Outcome.parse(outcome) }
}

function eventState(id: string) {
  return { type: 'LifecycleEvent', id, state: 'received' }
}

function knownEvent(db: Db, senderId: string, eventId: string) {
  return db
    .selectFrom('lifecycleEvent')
    .select(COLUMNS)
    .where('senderId', '=', senderId)
    .where('eventId', '=', eventId)
    .executeTakeFirst()
}

function sameEvent(known: Row, input: ReportEvent, subject: string): LifecycleEvent {
  if (known.type !== input.type || known.subject !== subject) {
    throw conflict('Another event was reported under this name.', eventState(input.eventId))
  }
  return shownEvent(known)
}

/** What an event is about, by what it names; each type needs its own name and takes no other. */
async function subjectOf(tx: Tx, input: ReportEvent): Promise<Subject> {
  switch (input.type) {
    case 'job-finished':
      return grantsBy(tx, 'task', needed(input.task, 'task'))
    case 'ticket-closed':
      return grantsBy(tx, 'ticket', needed(input.ticket, 'ticket'))
    case 'vendor-offboarded': {
      const vendor = needed(input.vendor, 'vendor')
      return { text: `vendor ${vendor}`, identityIds: await identitiesOfVendor(tx, vendor), grantIds: [] }
    }
    case 'repository-archived':
    case 'pipeline-deleted':
      if (input.repository !== undefined) return fromRepository(tx, input.repository)
      return namedIdentity(tx, input)
    case 'deployment-gone':
    default:
      return namedIdentity(tx, input)
  }
}

async function namedIdentity(tx: Tx, input: ReportEvent): Promise<Subject> {
  const identity = await findIdentity(tx, needed(input.identity, 'identity'))
  if (identity.kind === 'human') throw invalid('identity', 'people leave by their identity provider, not with a thing')
  return { text: `identity ${identity.name}`, identityIds: [identity.id], grantIds: [] }
}

function needed(value: string | undefined, field: string): string {
  if (value === undefined) throw invalid(field, 'this type of event names it')
  return value
}

export async function identitiesOfVendor(db: Db, vendor: string): Promise<string[]> {
  const rows = await db
    .selectFrom('identity')
    .select('id')
    .where('vendor', '=', vendor)
    .where('state', '<>', 'retired')
    .orderBy('id')
    .limit(MOST)
    .execute()
  return rows.map(({ id }) => id)
}

/** Identities that are let in by what runs from a repository, and by nothing else. */
async function fromRepository(tx: Tx, repository: string): Promise<Subject> {
  const rows = await tx
    .selectFrom('trustRule')
    .innerJoin('identity', 'identity.id', 'trustRule.identityId')
    .select(['trustRule.identityId', 'trustRule.subject', 'trustRule.claims'])
    .where('trustRule.state', '=', 'active')
    .where('identity.state', '<>', 'retired')
    .orderBy('trustRule.identityId')
    .execute()
  const [from, others] = [new Set<string>(), new Set<string>()]
  for (const { identityId, subject, claims } of rows) {
    const isFrom = namesRepository({ subject, claims }, repository)
    ;(isFrom ? from : others).add(identityId)
  }
  const identityIds = [...from.difference(others)].slice(0, MOST)
  return { text: `repository ${repository}`.slice(0, 300), identityIds, grantIds: [] }
}

/** As forges name it: a claim that is it, or a subject in whose parts it stands (`repo:acme/shop:ref:…`, `project_path:acme/shop:…`). */
function namesRepository(rule: { readonly subject: unknown; readonly claims: unknown }, repository: string): boolean {
  const texts: string[] = []
  const walk = (value: unknown, depth: number): void => {
    if (typeof value === 'string') texts.push(value)
    else if (typeof value === 'object' && value !== null && depth < 6) {
      for (const each of Object.values(value)) walk(each, depth + 1)
    }
  }
  walk([rule.subject, rule.claims], 0)
  return texts.some((text) => text === repository || text.split(':').includes(repository))
}

async function grantsBy(tx: Tx, column: 'task' | 'ticket', value: string): Promise<Subject> {
  const rows = await tx
    .selectFrom('accessGrant')
    .select('id')
    .where(column, '=', value)
    .where('endedAt', 'is', null)
    .orderBy('id')
    .limit(MOST)
    .execute()
  return { text: `${column} ${value}`, identityIds: [], grantIds: rows.map(({ id }) => id) }
}

type Opening = { readonly input: ReportEvent; readonly subject: Subject }

async function openCases(
  tx: Tx,
  needs: LifecycleNeeds,
  act: IdentityAct,
  { input, subject }: Opening,
): Promise<string[]> {
  const reason = input.type === 'vendor-offboarded' ? 'vendor' : 'event'
  const ids: string[] = []
  for (const identityId of subject.identityIds) {
    const detail = `${input.type}: ${subject.text}`.slice(0, 500)
    ids.push((await ensureCase(tx, needs, act, { identityId, reason, detail })).id)
  }
  return ids
}

async function endGrants(tx: Tx, needs: LifecycleNeeds, permit: Permit, subject: Subject): Promise<string[]> {
  const ended: string[] = []
  for (const grantId of subject.grantIds) {
    const actor = actorOf(permit.subject)
    const one = await endGrant(tx, needs, { grantId, reason: 'done', actor, comment: `over: ${subject.text}`, permit })
    if (one) ended.push(one.id)
  }
  return ended
}

export async function listEvents(
  db: Db,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<LifecycleEvent>> {
  let rows = db.selectFrom('lifecycleEvent').select(COLUMNS)
  if (query.cursor !== undefined) rows = rows.where(beyond(['id'], decodeCursor(query.cursor, ['id']), '<'))
  const found = await rows
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  const { items, nextCursor } = page(found, query.limit, (row) => [row.id])
  return { items: items.map(shownEvent), nextCursor }
}
