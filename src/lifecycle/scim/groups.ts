import { sql } from 'kysely'
import { actOf, unattestOwned } from '../../identities/identities.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import { groupChanged, groupProvisioned, groupRemoved } from '../events.ts'
import type { LifecycleNeeds } from '../needs.ts'
import { invalidValue, noSuchResource, ScimError } from './error.ts'
import { isDoc, type Doc } from './resource.ts'

export type GroupPermit = Permit<'scim-group.create' | 'scim-group.change' | 'scim-group.delete'>
export type GroupRow = {
  readonly id: string
  readonly providerId: string
  readonly displayName: string
  readonly externalId: string | null
  readonly createdAt: Date
  readonly modifiedAt: Date
  readonly version: number
}

export const GROUP_COLUMNS = [
  'id',
  'providerId',
  'displayName',
  'externalId',
  'createdAt',
  'modifiedAt',
  'version',
] as const

/** An entry names at most this many by id; the rest is counted, and stands in the rows. */
const MOST_NAMED = 1_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export async function createGroup(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: GroupPermit,
  doc: Readonly<Doc>,
): Promise<GroupRow> {
  const { displayName, externalId, members } = keysOf(doc)
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: groupProvisioned,
    resource: { type: 'ProvisionedGroup', id },
    facts: { groupId: id, members: members.length },
  })
  const providerId = permit.subject.id
  const row = await unique(() =>
    tx
      .insertInto('provisionedGroup')
      .values({ id, providerId, displayName, externalId, createdAt: now, modifiedAt: now, cause })
      .returning(GROUP_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  await setMembers(tx, { groupId: id, providerId, joined: members, left: [], cause })
  if (members.length > 0) await needs.onGroupsChanged(tx)
  return row
}

export async function lockGroup(tx: Tx, providerId: string, id: string): Promise<GroupRow> {
  const row = await tx
    .selectFrom('provisionedGroup')
    .select(GROUP_COLUMNS)
    .where('id', '=', id)
    .where('providerId', '=', providerId)
    .where('deletedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw noSuchResource()
  return row
}

/** The group as the provider says it is now. Whoever joins or leaves does so from the commit on, wherever a team follows it. */
export async function changeGroup(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: GroupPermit,
  { row, next }: { readonly row: GroupRow; readonly next: Readonly<Doc> },
): Promise<GroupRow> {
  const { displayName, externalId, members } = keysOf(next)
  const before = new Set(await memberIds(tx, row.id))
  const after = new Set(members)
  const [joined, left] = [[...after.difference(before)], [...before.difference(after)]]
  const isSame = displayName === row.displayName && externalId === row.externalId
  if (isSame && joined.length === 0 && left.length === 0) return row
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: groupChanged,
    resource: { type: 'ProvisionedGroup', id: row.id },
    facts: {
      groupId: row.id,
      joined: joined.slice(0, MOST_NAMED),
      left: left.slice(0, MOST_NAMED),
      joinedCount: joined.length,
      leftCount: left.length,
    },
  })
  await setMembers(tx, { groupId: row.id, providerId: row.providerId, joined, left, cause })
  const changed = await unique(() =>
    tx
      .updateTable('provisionedGroup')
      .set({ displayName, externalId, modifiedAt: needs.clock.now(), version: row.version + 1, cause })
      .where('id', '=', row.id)
      .where('version', '=', row.version)
      .returning(GROUP_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  if (joined.length + left.length > 0) {
    await needs.onGroupsChanged(tx)
    await moveMembers(tx, needs, permit, [...joined, ...left])
  }
  return changed
}

/** Another group is a move: who is in it now, or no more, is decided again, and attests again what they answer for. */
async function moveMembers(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: GroupPermit,
  userIds: readonly string[],
): Promise<void> {
  const owners = await tx
    .selectFrom('provisionedUser')
    .innerJoin('identity', 'identity.ownerId', 'provisionedUser.identityId')
    .select('provisionedUser.identityId')
    .distinct()
    .where('provisionedUser.id', 'in', userIds.slice(0, MOST_NAMED))
    .where('identity.ownerState', '=', 'attested')
    .orderBy('provisionedUser.identityId')
    .execute()
  const evidence = 'attested before its owner moved (groups)'
  for (const { identityId: personId } of owners) {
    await unattestOwned(tx, needs, actOf(permit), { personId, evidence })
    await needs.onMoved(tx, personId)
  }
}

export async function removeGroup(tx: Tx, needs: LifecycleNeeds, permit: GroupPermit, row: GroupRow): Promise<void> {
  const left = await memberIds(tx, row.id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: groupRemoved,
    resource: { type: 'ProvisionedGroup', id: row.id },
    facts: { groupId: row.id, left: left.length },
  })
  await setMembers(tx, { groupId: row.id, providerId: row.providerId, joined: [], left, cause })
  await tx
    .updateTable('provisionedGroup')
    .set({ deletedAt: needs.clock.now(), version: row.version + 1, cause })
    .where('id', '=', row.id)
    .where('version', '=', row.version)
    .executeTakeFirstOrThrow()
  await needs.onGroupsChanged(tx)
}

async function memberIds(db: Db, groupId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('provisionedMember')
    .innerJoin('provisionedUser', 'provisionedUser.id', 'provisionedMember.userId')
    .select('userId')
    .where('groupId', '=', groupId)
    .where('isMember', '=', true)
    .where('provisionedUser.deletedAt', 'is', null)
    .orderBy('userId')
    .execute()
  return rows.map(({ userId }) => userId)
}

type Membership = {
  readonly groupId: string
  readonly providerId: string
  readonly joined: readonly string[]
  readonly left: readonly string[]
  readonly cause: number
}

/** Only users of the same provider are members: another's are not there for it. */
async function setMembers(tx: Tx, { groupId, providerId, joined, left, cause }: Membership): Promise<void> {
  if (joined.length > 0) {
    const { numAffectedRows = 0n } = await sql`
      insert into provisioned_member (group_id, user_id, is_member, cause)
      select ${groupId}, u.id, true, ${cause}
        from provisioned_user u
       where u.id = any(${joined}::uuid[]) and u.provider_id = ${providerId} and u.deleted_at is null
          on conflict on constraint provisioned_member_pkey do update set is_member = true, cause = excluded.cause`.execute(
      tx,
    )
    if (numAffectedRows !== BigInt(joined.length)) throw invalidValue('A member is no user of this provider.')
  }
  if (left.length > 0) {
    await tx
      .updateTable('provisionedMember')
      .set({ isMember: false, cause })
      .where('groupId', '=', groupId)
      .where('userId', 'in', left)
      .execute()
  }
}

function keysOf(doc: Readonly<Doc>): { displayName: string; externalId: string | null; members: string[] } {
  const { displayName, externalId, members } = doc
  if (typeof displayName !== 'string' || displayName.trim() === '') throw invalidValue('A group needs a displayName.')
  const ids = (Array.isArray(members) ? members : []).map((each: unknown) => {
    const id = isDoc(each) && typeof each['value'] === 'string' ? each['value'].toLowerCase() : ''
    if (!UUID.test(id)) throw invalidValue('A member is named by the id of a user.')
    return id
  })
  return {
    displayName,
    externalId: typeof externalId === 'string' && externalId !== '' ? externalId : null,
    members: [...new Set(ids)],
  }
}

function unique<T>(write: () => Promise<T>): Promise<T> {
  const taken = (error: unknown) =>
    new ScimError(409, 'uniqueness', 'Another group of this provider has this externalId.', { cause: error })
  return translating({ provisioned_group_external_id_is_unique: taken }, write)
}
