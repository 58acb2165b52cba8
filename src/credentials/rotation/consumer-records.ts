import { isIP } from 'node:net'
import type { Db, Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import { idAfter, pageAfter } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, nameTaken, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import { actOf } from '../../identities/identities.ts'
import type { Consumer, ConsumerPage, DeclareConsumer, NotSeen } from './contract.ts'
import { consumerDeclared, consumerWithdrawn } from './events.ts'
import { KEPT_PREFIX, keepersOf, keptName } from './keepers.ts'
import type { RotationNeeds } from './needs.ts'

const COLUMNS = [
  'id',
  'accountId',
  'name',
  'origin',
  'applicationName',
  'address',
  'ownerTeam',
  'seenAt',
  'seenOn',
  'source',
  'location',
  'readAt',
  'withdrawnAt',
] as const
const SEEN_PREFIX = 'seen-'
const MOST_STANDING = 500

type Needs = Pick<RotationNeeds, 'clock' | 'random' | 'ledger' | 'hasTeam' | 'keepersOf'>

/** Says who holds a copy. Two that look the same at the target would speak for each other, so the second is refused. */
export async function declareConsumer(
  tx: Tx,
  needs: Needs,
  permit: Permit<'consumer.declare'>,
  input: DeclareConsumer,
): Promise<Consumer> {
  const { id: accountId } = permit.resource
  const { name, ownerTeam, applicationName = null, address = null, reason } = input
  if (name.startsWith(SEEN_PREFIX) || name.startsWith(KEPT_PREFIX)) {
    throw invalid('name', 'such names are of those whom nobody declared')
  }
  if (address !== null && isIP(address) === 0) throw invalid('address', 'this is no address')
  if (needs.hasTeam && !needs.hasTeam(ownerTeam)) throw invalid('ownerTeam', 'there is no such team')
  if (applicationName === null && address === null) {
    throw invalid('applicationName', 'say how it is known at the target: what it calls itself, or where it comes from')
  }
  await tx.selectFrom('account').select('id').where('id', '=', accountId).forUpdate().executeTakeFirstOrThrow()
  const others = await tx
    .selectFrom('credentialConsumer')
    .select(['name', 'applicationName', 'address'])
    .where('accountId', '=', accountId)
    .where('origin', '=', 'declared')
    .where('withdrawnAt', 'is', null)
    .execute()
  const isAlike = (mine: string | null, theirs: string | null) => mine === null || theirs === null || mine === theirs
  const alike = others.find((one) => isAlike(applicationName, one.applicationName) && isAlike(address, one.address))
  if (alike && alike.name !== name) {
    throw invalid(
      'applicationName',
      `the target could not tell it from ${alike.name}: give both a name or an address of their own`,
    )
  }
  const facts = { name, ownerTeam, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: consumerDeclared, facts })
  const taken = () => nameTaken('This consumer is declared already.', { type: 'Consumer', name })
  return translating({ consumer_name_is_unique: taken }, () =>
    tx
      .insertInto('credentialConsumer')
      .values({
        id: newId(needs.clock, needs.random),
        accountId,
        name,
        origin: 'declared',
        applicationName,
        address,
        ownerTeam,
        cause,
      })
      .returning(COLUMNS)
      .executeTakeFirstOrThrow(),
  )
}

/**
 * It does not use the account any more, or took the new secret: somebody says so, under their name. A place that a source tells of is a consumer again
 * in the next rotation.
 */
export async function withdrawConsumer(
  tx: Tx,
  needs: Needs,
  permit: Permit<'consumer.withdraw'>,
  consumerId: string,
  { reason }: { readonly reason: string },
): Promise<Consumer> {
  const { id: accountId } = permit.resource
  const seen = await tx
    .selectFrom('credentialConsumer')
    .select(COLUMNS)
    .where('id', '=', consumerId)
    .where('accountId', '=', accountId)
    .forUpdate()
    .executeTakeFirst()
  if (!seen) return withdrawPlace(tx, needs, permit, consumerId, { reason })
  if (seen.withdrawnAt) {
    throw conflict('This consumer is withdrawn already.', { type: 'Consumer', id: consumerId, state: 'withdrawn' })
  }
  const facts = { name: seen.name, origin: seen.origin, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: consumerWithdrawn, facts })
  return tx
    .updateTable('credentialConsumer')
    .set({ withdrawnAt: needs.clock.now(), cause })
    .where('id', '=', consumerId)
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

/** A place that no rotation waited for yet, by its id in the inventory. */
async function withdrawPlace(
  tx: Tx,
  needs: Needs,
  permit: Permit<'consumer.withdraw'>,
  referenceId: string,
  { reason }: { readonly reason: string },
): Promise<Consumer> {
  const { id: accountId } = permit.resource
  const told = (await keepersOf(tx, needs, { accountId, users: [] })).find(({ id }) => id === referenceId)
  if (!told) throw notFound('There is no such consumer.', { type: 'Consumer', id: referenceId })
  const name = keptName(told)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: consumerWithdrawn,
    facts: { name, origin: 'reference', reason },
  })
  const { source, location, readAt } = told
  const row = { id: newId(needs.clock, needs.random), accountId, name, origin: 'reference', referenceId } as const
  return tx
    .insertInto('credentialConsumer')
    .values({ ...row, source, location, readAt, withdrawnAt: needs.clock.now(), cause })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

const NOTHING_READ: NotSeen = { unseen: ['no source is read'], moreUnseen: 0 }

/** Oldest first: ids sort by birth. With what sources did not show, since they tell of places that keep the secret. */
export async function listConsumers(
  db: Db,
  { notSeen }: Pick<RotationNeeds, 'notSeen'>,
  accountId: string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<ConsumerPage> {
  let rows = db.selectFrom('credentialConsumer').select(COLUMNS).where('accountId', '=', accountId).orderBy('id')
  const after = idAfter(query.cursor)
  if (after !== undefined) rows = rows.where('id', '>', after)
  const page = pageAfter(await rows.limit(query.limit + 1).execute(), query.limit, (row) => row.id)
  return { ...page, ...(notSeen ? await notSeen(db) : NOTHING_READ) }
}

/** Those of an account that count; `since`: and those withdrawn after it. The oldest first. */
export async function standingConsumers(db: Db, accountId: string, since?: Date): Promise<Consumer[]> {
  return db
    .selectFrom('credentialConsumer')
    .select(COLUMNS)
    .where('accountId', '=', accountId)
    .where((is) => is.or([is('withdrawnAt', 'is', null), ...(since ? [is('withdrawnAt', '>=', since)] : [])]))
    .orderBy('id')
    .limit(MOST_STANDING)
    .execute()
}
