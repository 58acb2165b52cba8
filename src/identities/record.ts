import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { keyAfter, pageAfter, type Page } from '../kernel/page.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import type { Random } from '../kernel/random.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Identity, IdentityQuery } from './contract.ts'
import type { Teams } from './teams.ts'

/** Called in the transaction that stops an identity or loses its owner: whoever stands higher ends what hangs on it. */
export type OnIdentityEnded = (
  tx: Tx,
  ended: {
    readonly identityId: string
    readonly reason: 'identity-suspended' | 'identity-retired' | 'owner-lost'
    readonly cause: number
  },
) => Promise<void>

/** What commands of this folder use. */
export type IdentityNeeds = {
  readonly clock: Clock
  readonly random: Random
  readonly ledger: Ledger
  readonly teams: Teams
  readonly onIdentityEnded: OnIdentityEnded
}

/** The columns an answer may hold; those of the search stay inside. */
export const IDENTITY_COLUMNS = [
  'id',
  'kind',
  'name',
  'displayName',
  'profile',
  'purpose',
  'businessService',
  'environment',
  'tier',
  'tierSet',
  'tierReached',
  'traits',
  'ownerTeam',
  'ownerId',
  'ownerState',
  'ownerEvidence',
  'ownerProposedBy',
  'sponsorId',
  'vendor',
  'state',
  'isFounder',
  'reviewBy',
  'expiresAt',
  'createdAt',
  'version',
] as const

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function loadIdentity(db: Db, id: string): Promise<Identity | undefined> {
  return db.selectFrom('identity').select(IDENTITY_COLUMNS).where('id', '=', id).executeTakeFirst()
}

export function loadIdentityByName(db: Db, name: string): Promise<Identity | undefined> {
  return db.selectFrom('identity').select(IDENTITY_COLUMNS).where('name', '=', name).executeTakeFirst()
}

/** By id or by name; an id wins, so nobody can take another's place by a name that looks like its id. */
export async function findIdentity(db: Db, nameOrId: string): Promise<Identity> {
  const found =
    (UUID.test(nameOrId) ? await loadIdentity(db, nameOrId) : undefined) ?? (await loadIdentityByName(db, nameOrId))
  if (!found) throw unknownIdentity(nameOrId)
  return found
}

/** The row, locked until the transaction ends; throws `notFound`. */
export async function lockIdentity(tx: Tx, id: string): Promise<Identity> {
  const found = await tx
    .selectFrom('identity')
    .select(IDENTITY_COLUMNS)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (!found) throw unknownIdentity(id)
  return found
}

export function unknownIdentity(id: string) {
  return notFound('There is no such identity.', { type: 'Identity', id })
}

export function wrongState(identity: Identity, detail: string) {
  return conflict(detail, { type: 'Identity', id: identity.id, state: identity.state })
}

export async function listIdentities(db: Db, query: IdentityQuery): Promise<Page<Identity>> {
  let rows = db.selectFrom('identity').select(IDENTITY_COLUMNS).where('name', '>', keyAfter(query.cursor))
  if (query.kind) rows = rows.where('kind', '=', query.kind)
  if (query.state) rows = rows.where('state', '=', query.state)
  if (query.ownerTeam) rows = rows.where('ownerTeam', '=', query.ownerTeam)
  if (query.ownerState) rows = rows.where('ownerState', '=', query.ownerState)
  if (query.environment) rows = rows.where('environment', '=', query.environment)
  if (query.q !== undefined) {
    rows = rows.where(sql<boolean>`search @@ to_tsquery('simple', ${prefixQuery(query.q)})`)
  }
  const found = await rows
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (row) => row.name)
}

/** More words than this narrow nothing any more. */
const MAX_WORDS = 10

/** Every word, or beginning of a word, must be there: `pay orch` finds `payments-orchestrator`. Nothing typed is an operator. */
export function prefixQuery(text: string): string {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  return words
    .slice(0, MAX_WORDS)
    .map((word) => `'${word}':*`)
    .join(' & ')
}

/** Core 7: at most one person can act, so nobody else could take part in a decision. */
export async function isBootstrap(db: Db): Promise<boolean> {
  const people = await db
    .selectFrom('identity')
    .select('id')
    .where('kind', '=', 'human')
    .where('state', '=', 'active')
    .limit(2)
    .execute()
  return people.length < 2
}

/**
 * Everyone who may not approve for an identity (core 6): itself, its owner, its sponsor, who proposed the owner, and each of these
 * people in any of their identities. A human identity that has an owner is that person's further identity.
 */
export async function tiedPeople(db: Db, identityId: string): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    with recursive tied (id) as (
      select v.id
        from identity i
       cross join lateral (values (i.id), (i.owner_id), (i.sponsor_id), (i.owner_proposed_by)) v (id)
       where i.id = ${identityId} and v.id is not null
       union
      select same.id
        from tied t
       cross join lateral (
         select h.owner_id as id from identity h where h.id = t.id and h.kind = 'human' and h.owner_id is not null
         union all
         select h.id from identity h where h.owner_id = t.id and h.kind = 'human'
       ) same
    )
    select p.id from identity p join tied t on t.id = p.id where p.kind = 'human'`.execute(db)
  return new Set(rows.map((row) => row.id))
}
