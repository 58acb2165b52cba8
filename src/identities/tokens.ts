import { secondsAfter } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import type { Caller } from '../kernel/http/route.ts'
import { invalid } from '../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import { actOf } from './act.ts'
import { bearerSha256, makeBearer } from './bearer.ts'
import { isAccountedFor } from './change.ts'
import { ownCredentialOnly, ownerless, type Identity, type IssueToken, type Token } from './contract.ts'
import { tokenIssued, tokenRevoked } from './events.ts'
import { loadIdentity, lockIdentity, wrongState, type IdentityNeeds } from './record.ts'
import type { Teams } from './teams.ts'

const TOKEN_COLUMNS = ['id', 'identityId', 'label', 'createdAt', 'expiresAt', 'revokedAt'] as const

/** What is handed out once: the value leaves only here. */
export type Issued = {
  readonly id: string
  readonly identityId: string
  readonly expiresAt: Date
  readonly token: Secret
}

/** Issues a token for oneself, or for what is not a person. A token of another person would be a way to become them. */
export async function issueToken(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'token.issue'>,
  input: IssueToken,
): Promise<Issued> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.kind === 'human' && permit.subject.id !== seen.id) {
    throw ownCredentialOnly('A person gets a token only for themselves; make an enrolment link for them.', {
      identityId: seen.id,
    })
  }
  if (seen.state !== 'active') throw wrongState(seen, `The identity is ${seen.state}, not active.`)
  if (!isAccountedFor(seen)) throw ownerless('Nobody answers for this identity.', { identityId: seen.id })
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const expiresAt = endOf(seen, now, input.ttlSeconds)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: tokenIssued,
    facts: { tokenId: id, label: input.label, expiresAt },
  })
  return storeToken(tx, needs, { id, identityId: seen.id, label: input.label, createdAt: now, expiresAt, cause })
}

/** A token never outlives its identity. */
export function endOf(identity: Pick<Identity, 'id' | 'state' | 'expiresAt'>, now: Date, ttlSeconds: number): Date {
  const end = secondsAfter(now, ttlSeconds)
  const last = identity.expiresAt
  if (last === null || last > end) return end
  if (last > now) return last
  throw conflict('The identity expired: give it a later end first.', {
    type: 'Identity',
    id: identity.id,
    state: identity.state,
  })
}

export async function storeToken(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'random'>,
  row: {
    id: string
    identityId: string
    label: string
    keySha256?: Buffer | null
    createdAt: Date
    expiresAt: Date
    cause: number
  },
): Promise<Issued> {
  const token = makeBearer(needs.random, 'token')
  await tx
    .insertInto('apiToken')
    .values({ ...row, tokenSha256: bearerSha256(token), revokedAt: null })
    .execute()
  return { id: row.id, identityId: row.identityId, expiresAt: row.expiresAt, token }
}

/** Ends a token at once: every call after the commit is unauthenticated. */
export async function revokeToken(tx: Tx, needs: IdentityNeeds, permit: Permit<'token.revoke'>): Promise<Token> {
  const id = permit.resource.id
  const seen = await tx.selectFrom('apiToken').select(TOKEN_COLUMNS).where('id', '=', id).executeTakeFirst()
  if (!seen) throw unknownToken(id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: tokenRevoked,
    facts: { tokenId: id, identityId: seen.identityId },
  })
  const revoked = await tx
    .updateTable('apiToken')
    .set({ revokedAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('revokedAt', 'is', null)
    .returning(TOKEN_COLUMNS)
    .executeTakeFirst()
  if (!revoked) throw conflict('The token ended already.', { type: 'Token', id, state: 'revoked' })
  return revoked
}

function unknownToken(id: string) {
  return notFound('There is no such token.', { type: 'Token', id })
}

export async function listTokens(
  db: Db,
  identityId: string,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Token>> {
  const after = idAfter(query.cursor)
  let rows = db.selectFrom('apiToken').select(TOKEN_COLUMNS).where('identityId', '=', identityId)
  if (after !== undefined) rows = rows.where('id', '>', after)
  const found = await rows
    .orderBy('id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (token) => token.id)
}

/** A token and its identity, as far as the caller may know of it; to everybody else there is none. */
export async function findToken(
  db: Db,
  teams: Teams,
  caller: Pick<Caller, 'id'>,
  id: string,
): Promise<{ token: Token; identity: Identity }> {
  const token = await db.selectFrom('apiToken').select(TOKEN_COLUMNS).where('id', '=', id).executeTakeFirst()
  const identity = token && (await loadIdentity(db, token.identityId))
  if (!token || !identity || !(await mayKnowTokensOf(db, teams, caller, identity))) throw unknownToken(id)
  return { token, identity }
}

/** The groups of people that the shipped policies let stop anything. */
const GUARDIANS = ['administrators', 'security']

/** An identity's tokens are known to itself, to who answers for it, and to those who may stop anything. */
export async function mayKnowTokensOf(
  db: Db,
  teams: Teams,
  caller: Pick<Caller, 'id'>,
  identity: Identity,
): Promise<boolean> {
  if (caller.id === identity.id) return true
  const person = await loadIdentity(db, caller.id)
  if (person?.kind !== 'human') return false
  if (person.isFounder || person.id === identity.ownerId || person.id === identity.sponsorId) return true
  const own = teams.teamsOf(person.name)
  return own.some((team) => GUARDIANS.includes(team) || team === identity.ownerTeam)
}
