import { isDeepStrictEqual } from 'node:util'
import {
  abandonOwned,
  actOf,
  enterPerson,
  lockIdentity,
  renamePerson,
  unattestOwned,
} from '../../identities/identities.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import { ensureCase, lockCase, reopen, suspendNow } from '../cases.ts'
import { userChanged, userProvisioned, userRemoved } from '../events.ts'
import type { LifecycleNeeds } from '../needs.ts'
import { invalidValue, noSuchResource, ScimError } from './error.ts'
import { freeName } from './names.ts'
import { isDoc, type Doc } from './resource.ts'
import { ENTERPRISE } from './schema.ts'

export type UserPermit = Permit<'scim-user.create' | 'scim-user.change' | 'scim-user.delete'>
export type UserRow = {
  readonly id: string
  readonly providerId: string
  readonly identityId: string
  readonly isActive: boolean
  readonly resource: unknown
  readonly createdAt: Date
  readonly modifiedAt: Date
  readonly version: number
}

export const USER_COLUMNS = [
  'id',
  'providerId',
  'identityId',
  'isActive',
  'resource',
  'createdAt',
  'modifiedAt',
  'version',
] as const

/** Where a person stands in the company: a change of any of these is a move. */
const MOVES = ['department', 'division', 'costCenter', 'organization', 'manager'] as const

/** A joiner: a person who may act and has nothing to act with. Never an existing person, whatever name or address is sent. */
export async function createUser(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: UserPermit,
  sent: Readonly<Doc>,
): Promise<UserRow> {
  const doc: Doc = { active: true, ...sent }
  const { userName, externalId, isActive } = keysOf(doc, true)
  const act = actOf(permit)
  const person = await enterPerson(tx, needs, act, {
    name: await freeName(tx, needs, userName),
    displayName: shownName(doc),
  })
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: userProvisioned,
    resource: { type: 'ProvisionedUser', id },
    facts: { userId: id, identityId: person.id, isActive },
  })
  const row = await unique(() =>
    tx
      .insertInto('provisionedUser')
      .values({
        id,
        providerId: permit.subject.id,
        identityId: person.id,
        userName: fold(userName),
        externalId,
        isActive,
        resource: JSON.stringify(doc),
        createdAt: now,
        modifiedAt: now,
        cause,
      })
      .returning(USER_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  if (!isActive) await leave(tx, needs, permit, row)
  return row
}

/** The live row of this provider, locked; to it there are no others. */
export async function lockUser(tx: Tx, providerId: string, id: string): Promise<UserRow> {
  const row = await tx
    .selectFrom('provisionedUser')
    .select(USER_COLUMNS)
    .where('id', '=', id)
    .where('providerId', '=', providerId)
    .where('deletedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw noSuchResource()
  return row
}

/** Keeps what the provider says now, and does what that means: a mover, a leaver, or somebody who is back. */
export async function changeUser(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: UserPermit,
  { row, next: doc }: { readonly row: UserRow; readonly next: Readonly<Doc> },
): Promise<UserRow> {
  const before = isDoc(row.resource) ? row.resource : {}
  if (isDeepStrictEqual(doc, before)) return row
  // Whether they may act is as it was where nothing is said of it: no client means to stop or start somebody by leaving it out.
  const { userName, externalId, isActive } = keysOf(doc, row.isActive)
  const moved = movesBetween(before, doc)
  const act = actOf(permit)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: userChanged,
    resource: { type: 'ProvisionedUser', id: row.id },
    facts: {
      userId: row.id,
      identityId: row.identityId,
      fields: [...new Set([...Object.keys(before), ...Object.keys(doc)])]
        .filter((key) => !isDeepStrictEqual(before[key], doc[key]))
        .sort()
        .slice(0, 200),
      isActive,
      moved,
    },
  })
  const changed = await unique(() =>
    tx
      .updateTable('provisionedUser')
      .set({
        userName: fold(userName),
        externalId,
        isActive,
        resource: JSON.stringify(doc),
        modifiedAt: needs.clock.now(),
        version: row.version + 1,
        cause,
      })
      .where('id', '=', row.id)
      .where('version', '=', row.version)
      .returning(USER_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  await renamed(tx, needs, permit, { row, name: shownName(doc), before: shownName(before) })
  if (moved.length > 0 && isActive) await moveOn(tx, needs, permit, { personId: row.identityId, moved })
  if (row.isActive && !isActive) await leave(tx, needs, permit, row)
  if (!row.isActive && isActive) await comeBack(tx, needs, permit, row)
  return changed
}

/** Deleted at the provider: a leaver, of whom nothing personal is kept here. The person of the record stays, suspended, until their case is over. */
export async function removeUser(tx: Tx, needs: LifecycleNeeds, permit: UserPermit, row: UserRow): Promise<void> {
  await leave(tx, needs, permit, row)
  const act = actOf(permit)
  const { id, identityId } = row
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: userRemoved,
    resource: { type: 'ProvisionedUser', id },
    facts: { userId: id, identityId },
  })
  await tx
    .updateTable('provisionedMember')
    .set({ isMember: false, cause })
    .where('userId', '=', id)
    .where('isMember', '=', true)
    .execute()
  await tx
    .updateTable('provisionedUser')
    .set({
      userName: null,
      externalId: null,
      isActive: false,
      resource: '{}',
      deletedAt: needs.clock.now(),
      version: row.version + 1,
      cause,
    })
    .where('id', '=', id)
    .where('version', '=', row.version)
    .executeTakeFirstOrThrow()
  await needs.onGroupsChanged(tx)
}

/**
 * A leaver is suspended in this very transaction, with their sessions and grants; what they owned has no owner, which opens a case of its own for
 * each. Whom somebody else stopped before is not this provider's to let act again.
 */
async function leave(tx: Tx, needs: LifecycleNeeds, permit: UserPermit, row: UserRow): Promise<void> {
  const person = await lockIdentity(tx, row.identityId)
  if (person.isFounder) {
    throw new ScimError(
      409,
      undefined,
      'This person is the founder of the installation: a person stops them, no provider.',
    )
  }
  await needs.onGroupsChanged(tx)
  if (person.state !== 'active') return
  const act = actOf(permit)
  const detail = 'left, as the identity provider says'
  const { id } = await ensureCase(tx, needs, act, { identityId: person.id, reason: 'leaver', detail })
  await suspendNow(tx, needs, act, { caseId: id, reason: detail })
  const owned = await abandonOwned(tx, needs, act, { personId: person.id, reason: 'the owner left' })
  for (const identityId of owned) {
    await ensureCase(tx, needs, act, { identityId, reason: 'owner-lost', detail: `${person.name}, who owned it, left` })
  }
}

/** Lets somebody act again whom this way of leaving had stopped, and nobody else, and not while their case is held. */
async function comeBack(tx: Tx, needs: LifecycleNeeds, permit: UserPermit, row: UserRow): Promise<void> {
  await needs.onGroupsChanged(tx)
  const person = await lockIdentity(tx, row.identityId)
  if (person.state === 'retired') {
    throw new ScimError(409, 'mutability', 'This person was retired for good: delete the user and create it anew.')
  }
  if (person.state !== 'suspended') return
  const open = await tx
    .selectFrom('lifecycleCase')
    .select('id')
    .where('identityId', '=', person.id)
    .where('reason', '=', 'leaver')
    .where('overAt', 'is', null)
    .executeTakeFirst()
  const found = open && (await lockCase(tx, open.id))
  if (!found || found.heldBecause !== null) {
    throw new ScimError(409, undefined, 'This person was stopped here by somebody else, who has to let them act again.')
  }
  await reopen(tx, needs, actOf(permit), { row: found, reason: 'is back, as the identity provider says' })
}

/** A mover keeps what was granted only as far as policies permit it now, and attests again what they answer for. */
async function moveOn(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: UserPermit,
  { personId, moved }: { readonly personId: string; readonly moved: readonly string[] },
): Promise<void> {
  const evidence = `attested before its owner moved (${moved.join(', ')})`
  await unattestOwned(tx, needs, actOf(permit), { personId, evidence })
  await needs.onMoved(tx, personId)
}

async function renamed(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: UserPermit,
  { row, name, before }: { readonly row: UserRow; readonly name: string | null; readonly before: string | null },
): Promise<void> {
  if (name === before) return
  const seen = await lockIdentity(tx, row.identityId)
  if (seen.state === 'retired' || seen.displayName === name) return
  await renamePerson(tx, needs, actOf(permit), { seen, displayName: name })
}

function keysOf(
  doc: Readonly<Doc>,
  wasActive: boolean,
): { userName: string; externalId: string | null; isActive: boolean } {
  const { userName, externalId, active } = doc
  if (typeof userName !== 'string' || userName.trim() === '') throw invalidValue('A user needs a userName.')
  return {
    userName,
    externalId: typeof externalId === 'string' && externalId !== '' ? externalId : null,
    isActive: typeof active === 'boolean' ? active : wasActive,
  }
}

/** RFC 7643 §4.1.1: compared without regard to case. */
export function fold(userName: string): string {
  return userName.normalize('NFKC').toLowerCase()
}

const LONGEST_NAME = 200

function shownName(doc: Readonly<Doc>): string | null {
  const { displayName, name } = doc
  const parts = isDoc(name)
    ? [name['formatted'], [name['givenName'], name['familyName']].filter(Boolean).join(' ')]
    : []
  const found = [displayName, ...parts].find((each) => typeof each === 'string' && each.trim() !== '')
  return typeof found === 'string' ? found.trim().slice(0, LONGEST_NAME) : null
}

function movesBetween(before: Readonly<Doc>, after: Readonly<Doc>): string[] {
  const [was, is] = [before[ENTERPRISE], after[ENTERPRISE]].map((each) => (isDoc(each) ? each : {}))
  const moved = MOVES.filter((key) => !isDeepStrictEqual(was?.[key], is?.[key]))
  const title = isDeepStrictEqual(before['title'], after['title']) ? [] : ['title']
  return [...moved, ...title]
}

function unique<T>(write: () => Promise<T>): Promise<T> {
  const taken = (detail: string) => (error: unknown) => new ScimError(409, 'uniqueness', detail, { cause: error })
  return translating(
    {
      provisioned_user_name_is_unique: taken('Another user of this provider has this userName.'),
      provisioned_user_external_id_is_unique: taken('Another user of this provider has this externalId.'),
      identity_name_is_unique: taken('Somebody was entered by this name at this very moment; send it again.'),
    },
    write,
  )
}
