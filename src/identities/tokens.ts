import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { readPublicKey, sha256 } from '../kernel/crypto.ts'
import { linkTo } from '../kernel/entity.ts'
import type { Caller, Resource } from '../kernel/http/route.ts'
import { invalid } from '../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import { actOf } from './act.ts'
import { bearerSha256, makeBearer } from './bearer.ts'
import { isAccountedFor } from './change.ts'
import { keyNeeded, ownCredentialOnly, ownerless, type Identity, type IssueToken, type Token } from './contract.ts'
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

/**
 * Issues a token for oneself, or for what is not a person. A token of another person would be a way to become them. Who proved a key issues
 * no token without one: it would outlive what was proven.
 */
export async function issueToken(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'token.issue'>,
  issuing: { readonly caller: Prover; readonly input: IssueToken },
): Promise<Issued> {
  const { caller, input } = issuing
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.kind === 'human' && permit.subject.id !== seen.id) {
    throw ownCredentialOnly('A person gets a token only for themselves; make an enrolment link for them.', {
      identityId: seen.id,
    })
  }
  if (seen.state !== 'active') throw wrongState(seen, `The identity is ${seen.state}, not active.`)
  if (!isAccountedFor(seen)) throw ownerless('Nobody answers for this identity.', { identityId: seen.id })
  const given = input.publicKey === undefined ? null : keySha256Of(input.publicKey)
  const keySha256 = given ?? (await inheritedKey(tx, permit, caller))
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const login = permit.subject.id === seen.id ? await openLoginOf(tx, caller) : undefined
  const wanted = endOf(seen, now, input.ttlSeconds)
  const expiresAt = login && login.expiresAt < wanted ? login.expiresAt : wanted
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: tokenIssued,
    facts: { tokenId: id, label: input.label, expiresAt, keySha256: keySha256?.toString('hex') ?? null },
  })
  const row = { id, identityId: seen.id, label: input.label, keySha256, createdAt: now, expiresAt, cause }
  return storeToken(tx, needs, { ...row, loginSessionId: login?.id ?? null })
}

/** The login that the caller's own token belongs to, held still: what they issue to themselves under it ends with it. */
async function openLoginOf(
  tx: Tx,
  { proofId }: Prover,
): Promise<{ readonly id: string; readonly expiresAt: Date } | undefined> {
  return tx
    .selectFrom('apiToken')
    .innerJoin('loginSession', 'loginSession.id', 'apiToken.loginSessionId')
    .select(['loginSession.id', 'loginSession.expiresAt'])
    .where('apiToken.id', '=', proofId)
    .forShare('loginSession')
    .executeTakeFirst()
}

/** Of a public key as PEM, what a token bound to it is stored with. Throws `invalidInput`. */
export function keySha256Of(publicKey: string): Buffer {
  const key = readPublicKey(publicKey)
  if (key?.algorithm !== 'p-256') throw invalid('publicKey', 'send the public half of a P-256 key as PEM')
  return sha256(key.spki)
}

export type Prover = Pick<Caller, 'proof' | 'proofId'>

/** The key the caller's own proof is bound to, or null where it is a bearer's. */
export async function keyOfProof(tx: Tx, { proof, proofId }: Prover): Promise<Buffer | null> {
  const token = await tx
    .selectFrom('apiToken')
    .select(['identityId', 'keySha256', 'dpopKeySha256'])
    .where('id', '=', proofId)
    .executeTakeFirst()
  if (token?.dpopKeySha256) {
    throw keyNeeded('Your own token is bound to a key by DPoP: send the public key of the new one.', {
      identityId: token.identityId,
    })
  }
  if (!token?.keySha256 && proof !== 'token') {
    throw new Error(`the proof ${proofId} is bound to a key, and nothing says to which`)
  }
  return token?.keySha256 ?? null
}

/** One's own token is bound to the key one has; that of another identity to the key it has, which nobody else can name. */
async function inheritedKey(
  tx: Tx,
  { subject, resource }: Permit<'token.issue'>,
  caller: Prover,
): Promise<Buffer | null> {
  const own = await keyOfProof(tx, caller)
  if (own === null || subject.id === resource.id) return own
  throw keyNeeded(
    'Your own token is bound to a key, so one that you issue is too: send the public key of who gets it.',
    {
      identityId: resource.id,
    },
  )
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
    loginSessionId?: string | null
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
  await endTokens(tx, [id], { now: needs.clock.now(), cause })
  return revoked
}

/** Ends tokens that live, with what was exchanged for them. */
export async function endTokens(
  tx: Tx,
  ids: readonly string[],
  { now, cause }: { readonly now: Date; readonly cause: number },
): Promise<void> {
  await sql`
    with recursive ended (id) as (
      select t.id from api_token t where t.id = any(${ids}::uuid[])
       union
      select t.id from api_token t join ended e on t.parent_id = e.id
    )
    update api_token set revoked_at = ${now}, cause = ${cause}
     where id in (select id from ended) and revoked_at is null`.execute(tx)
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

/** What policies know of a token. */
export async function tokenResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('apiToken')
    .innerJoin('identity', 'identity.id', 'apiToken.identityId')
    .select(['apiToken.identityId', 'identity.ownerTeam'])
    .where('apiToken.id', '=', id)
    .executeTakeFirst()
  if (!row) throw unknownToken(id)
  const ownerTeam = row.ownerTeam === null ? {} : { ownerTeam: linkTo('Team', row.ownerTeam) }
  return { type: 'Token', id, attributes: { id, subjectId: row.identityId, ...ownerTeam } }
}
