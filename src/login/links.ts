import { actOf, endTokens, openEnrolment, spendEnrolment } from '../identities/identities.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, notFound, Problem } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import { translating } from '../kernel/violation.ts'
import { loginLinked, loginUnlinked } from './events.ts'
import type { LoginNeeds } from './needs.ts'
import { LoginRefused } from './refused.ts'
import type { CreateLoginLink, LoginLink } from './schemas.ts'
import { endLoginSessions } from './sessions/end.ts'

type LinkNeeds = Pick<LoginNeeds, 'clock' | 'random' | 'ledger'>
type Named = { readonly name: string; readonly issuer: string }

const LINK_COLUMNS = ['id', 'identityId', 'provider', 'issuer', 'subject', 'state', 'linkedBy', 'createdAt'] as const

/** Who logs in as this subject of this issuer. Nothing else of what a provider says leads to a person. */
export async function linkedIdentity(db: Db, issuer: string, subject: string): Promise<string | undefined> {
  const link = await db
    .selectFrom('loginLink')
    .select('identityId')
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .where('state', '=', 'active')
    .executeTakeFirst()
  return link?.identityId
}

/** Links a subject to a person, as somebody asked who may give that person a credential. */
export async function createLoginLink(
  tx: Tx,
  needs: LinkNeeds & { readonly providers: readonly Named[] },
  permit: Permit<'login-link.create'>,
  input: CreateLoginLink,
): Promise<LoginLink> {
  const provider = needs.providers.find(({ name }) => name === input.provider)
  if (!provider) throw invalid('provider', 'name one of the providers that are configured (login.providers)')
  const person = await tx
    .selectFrom('identity')
    .select(['id', 'kind', 'state'])
    .where('id', '=', permit.resource.id)
    .forUpdate()
    .executeTakeFirst()
  if (person?.kind !== 'human') throw invalid('identity', 'only people log in')
  if (person.state !== 'registered' && person.state !== 'active') {
    throw conflict('Only somebody registered or active is linked.', { type: 'Identity', ...person })
  }
  await mustBeAsDecided(tx, permit)
  const id = newId(needs.clock, needs.random)
  const told = { provider: provider.name, issuer: provider.issuer, subject: input.subject }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: loginLinked,
    subjectId: person.id,
    facts: { linkId: id, ...told, enrolmentId: null },
  })
  return insertLink(tx, needs, { id, identityId: person.id, ...told, linkedBy: permit.subject.id, cause })
}

/** Giving a first credential needs less than a further one. When the first came meanwhile, what was decided is void. */
async function mustBeAsDecided(tx: Tx, permit: Permit<'login-link.create'>): Promise<void> {
  const { id } = permit.resource
  const { evaluatedAt } = permit
  if (permit.subject.id === id) return
  const found = await Promise.all(
    (['apiToken', 'passkey', 'loginLink'] as const).map((table) =>
      tx
        .selectFrom(table)
        .select('id')
        .where('identityId', '=', id)
        .where('createdAt', '>=', evaluatedAt)
        .executeTakeFirst(),
    ),
  )
  if (found.some((each) => each !== undefined)) {
    throw conflict('The person got a credential meanwhile; ask again.', { type: 'Identity', id, state: 'changed' })
  }
}

function insertLink(
  tx: Tx,
  { clock }: Pick<LinkNeeds, 'clock'>,
  row: Omit<LoginLink, 'state' | 'createdAt'> & { readonly cause: number },
): Promise<LoginLink> {
  const taken = (error: unknown) =>
    conflict(
      'This subject is somebody’s already.',
      { type: 'LoginLink', id: row.id, state: 'active' },
      { cause: error },
    )
  return translating({ login_link_subject: taken }, () =>
    tx
      .insertInto('loginLink')
      .values({ ...row, createdAt: clock.now() })
      .returning(LINK_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
}

/** Links a subject by the one-time link that its person was given; spent by it. Throws `LoginRefused`. */
export async function linkByEnrolment(
  tx: Tx,
  needs: LinkNeeds,
  secret: Secret,
  by: { readonly provider: string; readonly issuer: string; readonly subject: string },
): Promise<string> {
  const open = await openEnrolment(tx, needs, { secret: secret.reveal() }).catch((error: unknown) => {
    // The founder's link names nobody yet: its token is the way back in, and is made by `reeve enrol`.
    if (error instanceof Problem) throw overLink(error)
    throw error
  })
  if (open.holder.kind !== 'human') throw overLink()
  const id = newId(needs.clock, needs.random)
  await spendEnrolment(tx, needs, { ...open, becameA: 'login-link' })
  const { holder } = open
  const cause = await needs.ledger.record(tx, {
    event: loginLinked,
    actor: { id: holder.id, kind: holder.kind },
    action: 'enrolment.redeem',
    resource: { type: 'Identity', id: holder.id },
    outcome: 'done',
    subjectId: holder.id,
    facts: { linkId: id, ...by, enrolmentId: open.link.id },
  })
  try {
    await insertLink(tx, needs, { id, identityId: holder.id, ...by, linkedBy: holder.id, cause })
  } catch (error) {
    if (!conflict.is(error)) throw error
    throw new LoginRefused('nobody', 'This account is linked to somebody already. The link stays good.', {
      cause: error,
    })
  }
  return holder.id
}

function overLink(cause?: unknown): LoginRefused {
  return new LoginRefused('over', 'The enrolment link is unknown, used or over. Ask for a new one.', { cause })
}

/** Retires a link, and ends the logins that were made by it. */
export async function retireLoginLink(
  tx: Tx,
  needs: LinkNeeds,
  permit: Permit<'login-link.retire'>,
  { reason }: { readonly reason: string },
): Promise<LoginLink> {
  const { id } = permit.resource
  const seen = await findLoginLink(tx, id)
  const about = { issuer: seen.issuer, subject: seen.subject, session: null }
  const sessionIds = await endLoginSessions(tx, needs, about, { why: 'link-retired', act: actOf(permit), reason })
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: loginUnlinked,
    subjectId: seen.identityId,
    facts: { linkId: id, sessionIds: [...sessionIds], reason },
  })
  const retired = await tx
    .updateTable('loginLink')
    .set({ state: 'retired', cause })
    .where('id', '=', id)
    .where('state', '=', 'active')
    .returning(LINK_COLUMNS)
    .executeTakeFirst()
  if (!retired) throw conflict('The link is retired already.', { type: 'LoginLink', id, state: 'retired' })
  // Whoever issues by the link holds it until they have committed.
  const tokens = await tx
    .selectFrom('apiToken')
    .select('id')
    .where('loginLinkId', '=', id)
    .where('revokedAt', 'is', null)
    .execute()
  await endTokens(
    tx,
    tokens.map((token) => token.id),
    { now: needs.clock.now(), cause },
  )
  return retired
}

export async function findLoginLink(db: Db, id: string): Promise<LoginLink> {
  const row = await db.selectFrom('loginLink').select(LINK_COLUMNS).where('id', '=', id).executeTakeFirst()
  if (!row) throw notFound('There is no such link.', { type: 'LoginLink', id })
  return row
}

export async function listLoginLinks(
  db: Db,
  identityId: string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<LoginLink>> {
  const after = idAfter(query.cursor)
  let rows = db.selectFrom('loginLink').select(LINK_COLUMNS).where('identityId', '=', identityId)
  if (after !== undefined) rows = rows.where('id', '>', after)
  const found = await rows
    .orderBy('id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, ({ id }) => id)
}
