import { secondsAfter } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { invalid } from '../../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { accountResource, loadAccountById, loadTarget } from '../../catalog/catalog.ts'
import { actOf, tiedPeople } from '../../identities/identities.ts'
import type { Certification, CertifyAccount } from './contract.ts'
import { accountCertified } from './events.ts'
import type { RotationNeeds } from './needs.ts'

/** How long a word may count, and how far back somebody's hand in a login keeps them from giving it. */
const LONGEST_SECONDS = 366 * 86_400
const WINDOW_SECONDS = 366 * 86_400

/** What gives a login its secret: who did any of it to an account or its target does not certify the account. */
const HAND_IN_LOGIN = [
  'account.registered',
  'target.registered',
  'target.updated',
  'rotation.planned',
  'rotation.scheduled',
]

/** In an entry of a target, which is canonical JSON: its provisioner was given with it. */
const GAVE_LOGIN = '"hasNewProvisioner":true'

const COLUMNS = ['id', 'accountId', 'certifierId', 'certifiedAt', 'goodBefore'] as const

/** A person's word that an account and its login are still right. Policies refuse it of who had a hand in the login. */
export async function certifyAccount(
  tx: Tx,
  needs: Pick<RotationNeeds, 'clock' | 'random' | 'ledger'>,
  permit: Permit<'account.certify'>,
  { goodBefore, statement }: CertifyAccount,
): Promise<Certification> {
  const { id: accountId } = permit.resource
  const now = needs.clock.now()
  if (goodBefore <= now) throw invalid('goodBefore', 'this lies in the past')
  if (goodBefore > secondsAfter(now, LONGEST_SECONDS)) throw invalid('goodBefore', 'a word counts for a year at most')
  // Locked, so that a rotation either is seen by the decision above or comes after this word.
  const account = await tx
    .selectFrom('account')
    .select(['state'])
    .where('id', '=', accountId)
    .forUpdate()
    .executeTakeFirstOrThrow()
  if (account.state !== 'active') {
    throw conflict('The account is retired.', { type: 'Account', id: accountId, state: account.state })
  }
  if ((await handsIn(tx, needs, accountId)).has(permit.subject.id)) {
    throw conflict('Somebody with a hand in the login does not certify it; look again.', {
      type: 'Account',
      id: accountId,
      state: account.state,
    })
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: accountCertified,
    facts: { goodBefore, statement },
  })
  return tx
    .insertInto('certification')
    .values({
      id: newId(needs.clock, needs.random),
      accountId,
      certifierId: permit.subject.id,
      certifiedAt: now,
      goodBefore,
      cause,
    })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

/** Oldest first: ids sort by birth. */
export async function listCertifications(
  db: Db,
  accountId: string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<Certification>> {
  let rows = db.selectFrom('certification').select(COLUMNS).where('accountId', '=', accountId).orderBy('id')
  const after = idAfter(query.cursor)
  if (after !== undefined) rows = rows.where('id', '>', after)
  return pageAfter(await rows.limit(query.limit + 1).execute(), query.limit, (row) => row.id)
}

/** What policies know of an account that somebody wants to certify: who had a hand in its login, too. */
export async function certifiedResource(
  db: Db,
  needs: Pick<RotationNeeds, 'clock'>,
  accountId: string,
): Promise<Resource> {
  const account = await loadAccountById(db, accountId)
  const target = account && (await loadTarget(db, account.targetId))
  if (!target) throw notFound('There is no such account.', { type: 'Account', id: accountId })
  const resource = accountResource(account, target)
  const rotatedByIds = [...(await handsIn(db, needs, accountId))]
  return { ...resource, attributes: { ...resource.attributes, rotatedByIds } }
}

/** Who rotated or gave the login of the account or of its target's provisioner lately, and the people tied to them: a robot of mine is me. */
async function handsIn(db: Db, needs: Pick<RotationNeeds, 'clock'>, accountId: string): Promise<ReadonlySet<string>> {
  const { targetId } = await db
    .selectFrom('account')
    .select('targetId')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow()
  const since = secondsAfter(needs.clock.now(), -WINDOW_SECONDS)
  const rotations = await db
    .selectFrom('rotation')
    .select('id')
    .where('targetId', '=', targetId)
    .where((either) => either.or([either('accountId', '=', accountId), either('accountId', 'is', null)]))
    .where('plannedAt', '>=', since)
    .execute()
  const entries = await db
    .selectFrom('ledgerEntry')
    .select(['kind', 'actorId', 'leaf'])
    .where('resourceId', 'in', [accountId, targetId, ...rotations.map((row) => row.id)])
    .where('kind', 'in', HAND_IN_LOGIN)
    .where('at', '>=', since)
    .where('actorId', 'is not', null)
    .execute()
  const direct = new Set<string>()
  for (const { kind, actorId, leaf } of entries) {
    if (actorId === null || (kind.startsWith('target.') && !leaf.includes(GAVE_LOGIN))) continue
    direct.add(actorId)
  }
  const hands = new Set(direct)
  for (const hand of direct) for (const person of await tiedPeople(db, hand)) hands.add(person)
  return hands
}
