import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { Permit } from '../kernel/permit.ts'
import { nameTaken } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { translating } from '../kernel/violation.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { actOf } from './act.ts'
import { bearerSha256, makeBearer } from './bearer.ts'
import { changeIdentity, isAccountedFor } from './change.ts'
import {
  enrolmentInvalid,
  keyNeeded,
  ownerless,
  type EnrolIdentity,
  type Identity,
  type RedeemEnrolment,
} from './contract.ts'
import { enrolmentCreated, enrolmentRedeemed, founderEnrolmentCreated } from './events.ts'
import { IDENTITY_COLUMNS, lockIdentity, wrongState, type IdentityNeeds } from './record.ts'
import { endOf, keyOfProof, keySha256Of, storeToken, type Issued, type Prover } from './tokens.ts'

type Needs = Pick<IdentityNeeds, 'clock' | 'random' | 'ledger'>

/** Long enough to be renewed in time by `token.issue`, short enough to die when nobody does. */
const FIRST_TOKEN_SECONDS = 30 * 86_400
const FOUNDER_LINK_SECONDS = 15 * 60

export type EnrolmentLink = {
  readonly id: string
  readonly identityId: string
  readonly expiresAt: Date
  readonly secret: Secret
}

/**
 * Makes the one link that works for an identity; links made before end, so that none lies around when it is used. A link that somebody with a
 * key makes for themselves gives a token only for a key: a second device is enrolled by it, and no way around the first.
 */
export async function enrolIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.enrol'>,
  enrolling: { readonly caller: Prover; readonly input: EnrolIdentity },
): Promise<EnrolmentLink> {
  const { caller, input } = enrolling
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state !== 'registered' && seen.state !== 'active') {
    throw wrongState(seen, `The identity is ${seen.state}; only one that is registered or active gets a credential.`)
  }
  if (!isAccountedFor(seen)) throw ownerless('Assign an owner before the first credential.', { identityId: seen.id })
  await mustBeAsDecided(tx, seen, permit)
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const expiresAt = secondsAfter(now, input.ttlSeconds)
  const isOwn = permit.subject.id === seen.id
  const needsKey = isOwn && (await keyOfProof(tx, caller)) !== null
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: enrolmentCreated,
    facts: { enrolmentId: id, expiresAt, needsKey },
  })
  await endLinks(tx, seen.id, now, cause)
  const secret = makeBearer(needs.random, 'enrol')
  await tx
    .insertInto('enrolment')
    .values({
      id,
      identityId: seen.id,
      secretSha256: bearerSha256(secret),
      createdAt: now,
      expiresAt,
      usedAt: null,
      needsKey,
      isOwn,
      cause,
    })
    .execute()
  return { id, identityId: seen.id, expiresAt, secret }
}

/** A first credential needs less than a further one. When the first came meanwhile, what was decided is void. */
async function mustBeAsDecided(tx: Tx, seen: Identity, permit: Permit<'identity.enrol'>): Promise<void> {
  const made = (table: 'apiToken' | 'passkey' | 'loginLink') =>
    tx.selectFrom(table).select('createdAt').where('identityId', '=', seen.id).orderBy('createdAt').limit(1)
  const first = await Promise.all([made('apiToken'), made('passkey'), made('loginLink')].map((each) => each.execute()))
  const all = first.flat().map(({ createdAt }) => createdAt.getTime())
  if (all.length > 0 && Math.min(...all) >= permit.evaluatedAt.getTime()) {
    throw wrongState(seen, 'The identity got a credential meanwhile; ask again.')
  }
}

/** Marks what nobody used as used up. `null` means the founder's. */
async function endLinks(tx: Tx, identityId: string | null, now: Date, cause: number): Promise<void> {
  await tx
    .updateTable('enrolment')
    .set({ usedAt: now, cause })
    .where('identityId', identityId === null ? 'is' : '=', identityId)
    .where('usedAt', 'is', null)
    .execute()
}

/**
 * At start: while there is no founder, a fresh link for one; the one before ends, for only its hash was kept. Undefined as soon as
 * there is a founder, for ever.
 */
export async function ensureFounderEnrolment(
  db: Db,
  needs: Needs,
): Promise<{ readonly secret: Secret; readonly expiresAt: Date } | undefined> {
  return transact(db, async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('identities.founder'))`.execute(tx)
    const founder = await tx.selectFrom('identity').select('id').where('isFounder', '=', true).executeTakeFirst()
    if (founder) return undefined
    const id = newId(needs.clock, needs.random)
    const now = needs.clock.now()
    const expiresAt = secondsAfter(now, FOUNDER_LINK_SECONDS)
    const cause = await needs.ledger.record(tx, {
      event: founderEnrolmentCreated,
      actor: SYSTEM,
      resource: { type: 'Installation', id: 'installation' },
      outcome: 'done',
      facts: { enrolmentId: id, expiresAt },
    })
    await endLinks(tx, null, now, cause)
    const secret = makeBearer(needs.random, 'enrol')
    await tx
      .insertInto('enrolment')
      .values({
        id,
        identityId: null,
        secretSha256: bearerSha256(secret),
        createdAt: now,
        expiresAt,
        usedAt: null,
        cause,
      })
      .execute()
    return { secret, expiresAt }
  })
}

/** Who will have the token of a link, and until when at most. */
type Foreseen = { readonly identityId: string; readonly expiresAt: Date }

/** What redeeming a link would give, which is not redeemed: what has to be made for it may fail and spends nothing. Throws `enrolmentInvalid`. */
export async function foreseeEnrolment(tx: Tx, needs: Needs, input: RedeemEnrolment): Promise<Foreseen> {
  const { holder } = await openEnrolment(tx, needs, input)
  if (input.publicKey !== undefined) keySha256Of(input.publicKey)
  return { identityId: holder.id, expiresAt: endOf(holder, needs.clock.now(), FIRST_TOKEN_SECONDS) }
}

/**
 * Turns a link into the first token, once. A registered identity begins to act with it; the founder's link makes the founder. Unknown,
 * used, expired and belonging to somebody stopped are one answer.
 */
export async function redeemEnrolment(
  tx: Tx,
  needs: Needs,
  input: RedeemEnrolment,
  foreseen?: Foreseen,
): Promise<Issued> {
  const now = needs.clock.now()
  const { link, holder } = await openEnrolment(tx, needs, input, foreseen?.identityId)
  if (link.needsKey && input.publicKey === undefined) {
    throw keyNeeded('This link gives a token for a key only: reeve enrol --key. The link stays good.', {
      identityId: holder.id,
    })
  }
  const tokenId = newId(needs.clock, needs.random)
  const ends = endOf(holder, now, FIRST_TOKEN_SECONDS)
  const expiresAt = foreseen && foreseen.expiresAt < ends ? foreseen.expiresAt : ends
  const cause = await spendEnrolment(tx, needs, { link, holder, becameA: 'token', tokenId, expiresAt })
  return storeToken(tx, needs, {
    id: tokenId,
    identityId: holder.id,
    label: input.label,
    keySha256: input.publicKey === undefined ? null : keySha256Of(input.publicKey),
    createdAt: now,
    expiresAt,
    cause,
  })
}

/** An unused link with who holds it, locked; throws `enrolmentInvalid`. */
export async function openEnrolment(
  tx: Tx,
  needs: Needs,
  input: Pick<RedeemEnrolment, 'secret' | 'name' | 'displayName'>,
  founderId?: string,
): Promise<OpenLink> {
  const now = needs.clock.now()
  const link = await tx
    .selectFrom('enrolment')
    .select(['id', 'identityId', 'expiresAt', 'usedAt', 'needsKey', 'isOwn'])
    .where('secretSha256', '=', bearerSha256(new Secret(input.secret)))
    .forUpdate()
    .executeTakeFirst()
  if (!link || link.usedAt !== null || link.expiresAt <= now) throw invalidLink()
  const holder =
    link.identityId === null ? newFounder(needs, input, founderId) : await enrolled(tx, link.identityId, now)
  return { link, holder }
}

export type OpenLink = {
  readonly link: {
    readonly id: string
    readonly identityId: string | null
    readonly needsKey: boolean
    readonly isOwn: boolean
  }
  readonly holder: Holder
}

type Spending = OpenLink & {
  readonly becameA: 'token' | 'passkey' | 'login-link'
  readonly tokenId?: string
  readonly expiresAt?: Date
}

/** Spends a link, once: its holder begins to act, or is the founder. Returns the entry that causes the credential. */
export async function spendEnrolment(tx: Tx, needs: Needs, { link, holder, ...became }: Spending): Promise<number> {
  const now = needs.clock.now()
  const isFounder = link.identityId === null
  const isActivated = holder.state === 'registered'
  const cause = await needs.ledger.record(tx, {
    event: enrolmentRedeemed,
    actor: { id: holder.id, kind: holder.kind },
    action: 'enrolment.redeem',
    resource: { type: 'Identity', id: holder.id },
    outcome: 'done',
    subjectId: holder.id,
    facts: {
      enrolmentId: link.id,
      tokenId: became.tokenId ?? null,
      expiresAt: became.expiresAt ?? null,
      becameA: became.becameA,
      isFounder,
      isActivated,
      name: holder.name,
      displayName: holder.displayName,
    },
  })
  if (isFounder) await insertFounder(tx, holder, now, cause)
  else if (isActivated) await changeIdentity(tx, await lockIdentity(tx, holder.id), cause, { state: 'active' })
  const used = await tx
    .updateTable('enrolment')
    .set({ usedAt: now, identityId: holder.id, cause })
    .where('id', '=', link.id)
    .where('usedAt', 'is', null)
    .where('expiresAt', '>', now)
    .executeTakeFirst()
  if (used.numUpdatedRows !== 1n) throw invalidLink()
  return cause
}

type Holder = Pick<Identity, 'id' | 'name' | 'kind' | 'displayName' | 'state' | 'expiresAt'>

function newFounder(needs: Needs, input: Pick<RedeemEnrolment, 'name' | 'displayName'>, founderId?: string): Holder {
  if (input.name === undefined) throw invalid('name', 'the founder needs a name')
  const { name, displayName = null } = input
  const id = founderId ?? newId(needs.clock, needs.random)
  return { id, name, kind: 'human', displayName, state: 'active', expiresAt: null }
}

async function enrolled(tx: Tx, identityId: string, now: Date): Promise<Holder> {
  const identity = await lockIdentity(tx, identityId)
  const mayAct = identity.state === 'registered' || identity.state === 'active'
  const isOver = identity.expiresAt !== null && identity.expiresAt <= now
  if (!mayAct || isOver || !isAccountedFor(identity)) throw invalidLink()
  return identity
}

async function insertFounder(tx: Tx, founder: Holder, now: Date, cause: number): Promise<void> {
  const { id, name, displayName } = founder
  const meanings = {
    // Somebody else became the founder by another link in this very moment.
    identity_founder: (error: unknown) => invalidLink({ cause: error }),
    identity_name_is_unique: (error: unknown) =>
      nameTaken(`An identity named ${name} exists.`, { type: 'Identity', name }, { cause: error }),
  }
  await translating(meanings, () =>
    tx
      .insertInto('identity')
      .values({
        id,
        name,
        displayName,
        kind: 'human',
        profile: 'person',
        purpose: null,
        businessService: null,
        environment: 'production',
        tier: 0,
        state: 'active',
        isFounder: true,
        createdAt: now,
        cause,
      })
      .returning(IDENTITY_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
}

function invalidLink(options?: ErrorOptions) {
  return enrolmentInvalid('The enrolment link is unknown, used or over. Ask for a new one.', {}, options)
}
