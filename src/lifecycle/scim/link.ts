import { actOf, endIdentity, findIdentity, lockIdentity } from '../../identities/identities.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { translating } from '../../kernel/violation.ts'
import type { ProvisionedUser } from '../contract.ts'
import { userLinked } from '../events.ts'
import type { LifecycleNeeds } from '../needs.ts'

const COLUMNS = [
  'provisionedUser.id',
  'provisionedUser.providerId',
  'provisionedUser.identityId',
  'identity.name as identityName',
  'provisionedUser.isActive',
  'provisionedUser.createdAt',
  'provisionedUser.modifiedAt',
] as const

function rowsOf(db: Db) {
  return db
    .selectFrom('provisionedUser')
    .innerJoin('identity', 'identity.id', 'provisionedUser.identityId')
    .select(COLUMNS)
    .where('provisionedUser.deletedAt', 'is', null)
}

export async function listProvisionedUsers(
  db: Db,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<ProvisionedUser>> {
  const after = idAfter(query.cursor)
  let rows = rowsOf(db)
  if (after !== undefined) rows = rows.where('provisionedUser.id', '>', after)
  const found = await rows
    .orderBy('provisionedUser.id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (row) => row.id)
}

export async function findProvisionedUser(db: Db, id: string): Promise<ProvisionedUser> {
  const found = await rowsOf(db).where('provisionedUser.id', '=', id).executeTakeFirst()
  if (!found) throw notFound('There is no such user of a provider.', { type: 'ProvisionedUser', id })
  return found
}

/**
 * A person who was here before is who a user of a provider stands for. Nothing that the provider sends does this: it is a person's act that others
 * approve. The identity that was made for the user in between ends, if it never had anything.
 */
export async function linkProvisionedUser(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: Permit<'provisioned-user.link'>,
  input: { readonly user: string; readonly identity: string; readonly reason: string },
): Promise<ProvisionedUser> {
  const seen = await findProvisionedUser(tx, input.user)
  const person = await findIdentity(tx, permit.resource.id)
  const before = await lockIdentity(tx, seen.identityId)
  if (person.kind !== 'human' || person.state !== 'active' || person.id === before.id) {
    throw conflict('Only another person who can act is linked.', {
      type: 'Identity',
      id: person.id,
      state: person.state,
    })
  }
  if (!seen.isActive) {
    throw conflict('The provider says that this user left.', {
      type: 'ProvisionedUser',
      id: seen.id,
      state: 'inactive',
    })
  }
  const act = actOf(permit)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: userLinked,
    facts: {
      userId: seen.id,
      providerId: seen.providerId,
      identityId: person.id,
      before: before.id,
      reason: input.reason,
    },
  })
  const taken = () =>
    conflict('Another user of this provider stands for this person.', {
      type: 'Identity',
      id: person.id,
      state: 'linked',
    })
  await translating({ provisioned_user_is_one_person: taken }, () =>
    tx
      .updateTable('provisionedUser')
      .set((row) => ({ identityId: person.id, version: row('version', '+', 1), cause }))
      .where('id', '=', seen.id)
      .where('identityId', '=', before.id)
      .executeTakeFirstOrThrow(),
  )
  await needs.onGroupsChanged(tx)
  if (await isUntouched(tx, before.id)) {
    await endIdentity(tx, needs, act, { seen: before, reason: 'made for a user who is somebody else' })
  }
  return findProvisionedUser(tx, seen.id)
}

/** Whether nobody ever acted as it: then it was only a place for the user. */
async function isUntouched(tx: Tx, identityId: string): Promise<boolean> {
  const token = await tx.selectFrom('apiToken').select('id').where('identityId', '=', identityId).limit(1).execute()
  const login = await tx.selectFrom('loginLink').select('id').where('identityId', '=', identityId).limit(1).execute()
  return token.length === 0 && login.length === 0
}
