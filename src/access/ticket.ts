import { secondsAfter } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Tx } from '../kernel/db.ts'
import type { Caller } from '../kernel/http/route.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { translating } from '../kernel/violation.ts'
import { actOf, type Proof } from '../identities/identities.ts'
import { keyIssued, keyTaken, proofTooWeak, ticketIssued, type Grant } from './contract.ts'
import { over } from './end.ts'
import { reachAccess } from './fault-points.ts'
import type { AccessNeeds } from './needs.ts'
import { loadGrant } from './read.ts'

/** 256 bits: a ticket is looked up by its plain hash, so it must be out of reach of guessing. */
const TICKET_BYTES = 32
/** So that scanners know one when it is left somewhere. */
const TICKET_PREFIX = 'rvt_'

/**
 * How long a ticket may lie around before its first use, by the tier of what it opens: long enough to paste it, shorter where more
 * is at stake. After the first use it is worth something only from that address.
 */
const FIRST_USE_SECONDS: Readonly<Record<number, number>> = { 0: 60, 1: 120, 2: 300, 3: 300 }

/** Of proofs that compare: a key shown in each handshake is the most. Any other is held to the very same one. */
const STRENGTH: Readonly<Partial<Record<Proof, number>>> = { token: 0, 'bound-token': 1, dpop: 1, mtls: 2 }

type IssueNeeds = Pick<AccessNeeds, 'clock' | 'random' | 'ledger'>

/** A proof as it was issued: where it is good, until when it has to be used first. */
export type Issued = {
  readonly id: string
  readonly grantId: string
  readonly user: string
  readonly firstUseBefore: Date
  readonly isSingleUse: boolean
  readonly expiresAt: Date
}

/**
 * What a proof is made of: who shows what they proved themselves by. It must not be less than the grant was given for, or a stolen token
 * would be enough to come in by a grant that asked for more.
 */
type Issuing = { readonly proof: Caller['proof']; readonly isSingleUse: boolean }

/**
 * Makes a ticket for the permit's grant. Its secret is in this answer and nowhere else. Throws `grantOver` and `proofTooWeak`.
 */
export async function issueTicket(
  tx: Tx,
  needs: IssueNeeds,
  permit: Permit<'ticket.issue'> | Permit<'credential.issue'>,
  issuing: Issuing,
): Promise<Issued & { readonly ticket: Secret }> {
  const { grant, tier } = await lockLive(tx, needs, permit.resource.id, issuing)
  const ticket = new Secret(TICKET_PREFIX + needs.random.bytes(TICKET_BYTES).toString('base64url'))
  const id = newId(needs.clock, needs.random)
  const deadline = secondsAfter(needs.clock.now(), FIRST_USE_SECONDS[tier] ?? FIRST_USE_SECONDS[0] ?? 60)
  const firstUseBefore = deadline < grant.expiresAt ? deadline : grant.expiresAt
  const { isSingleUse } = issuing
  const cause = await needs.ledger.record(tx, {
    event: ticketIssued,
    ...actOf(permit),
    grantId: grant.id,
    facts: { proofId: id, isSingleUse, firstUseBefore },
  })
  const issued = issuedOf(grant, { id, firstUseBefore, isSingleUse })
  await insertProof(tx, needs, { issued, kind: 'ticket', hash: sha256(ticket.reveal()), cause })
  return { ...issued, ticket }
}

/**
 * Binds a public key, named by the hash of its SubjectPublicKeyInfo (of an SSH key: of its blob), to the permit's grant. The private key never left who made it,
 * so it may wait for its first use as long as the grant lives. Said again of the same grant it is the same proof. Throws `grantOver`,
 * `proofTooWeak`, and `keyTaken` for a key that proves something else already.
 */
export async function issueKey(
  tx: Tx,
  needs: IssueNeeds,
  permit: Permit<'key.issue'> | Permit<'ssh-certificate.issue'>,
  issuing: Issuing & { readonly spkiSha256: Buffer },
): Promise<Issued> {
  const { grant } = await lockLive(tx, needs, permit.resource.id, issuing)
  const { isSingleUse, spkiSha256 } = issuing
  const standing = await standingKey(tx, grant, spkiSha256)
  if (standing) {
    if (standing.isSingleUse !== isSingleUse) throw taken()
    return standing
  }
  const id = newId(needs.clock, needs.random)
  const firstUseBefore = grant.expiresAt
  const cause = await needs.ledger.record(tx, {
    event: keyIssued,
    ...actOf(permit),
    grantId: grant.id,
    facts: { proofId: id, spkiSha256: spkiSha256.toString('hex'), isSingleUse, firstUseBefore },
  })
  const issued = issuedOf(grant, { id, firstUseBefore, isSingleUse })
  await translating({ proof_is_unique: (error) => taken({ cause: error }) }, () =>
    insertProof(tx, needs, { issued, kind: 'key', hash: spkiSha256, cause }),
  )
  return issued
}

/** The proof that this key is of this grant already. */
async function standingKey(tx: Tx, grant: Grant, spkiSha256: Buffer): Promise<Issued | undefined> {
  const row = await tx
    .selectFrom('grantProof')
    .select(['id', 'firstUseBefore', 'isSingleUse'])
    .where('sha256', '=', spkiSha256)
    .where('kind', '=', 'key')
    .where('grantId', '=', grant.id)
    .executeTakeFirst()
  return row && issuedOf(grant, row)
}

/** Whose grant it is is nobody's business: a public key is known to more people than its holder. */
function taken(options?: ErrorOptions) {
  return keyTaken('This key proves something else already: make a new one for each grant.', {}, options)
}

/** Nobody else issues for this grant meanwhile, and it does not end. Throws `grantOver`, and `proofTooWeak` for less than it was given for. */
export async function lockLive(
  tx: Tx,
  needs: IssueNeeds,
  grantId: string,
  { proof }: Issuing,
): Promise<{ grant: Grant; tier: number }> {
  const row = await tx
    .selectFrom('accessGrant')
    .innerJoin('account', 'account.id', 'accessGrant.accountId')
    .innerJoin('accessRequest', 'accessRequest.id', 'accessGrant.requestId')
    .select(['account.tier', 'accessRequest.proof as needed'])
    .where('accessGrant.id', '=', grantId)
    .forNoKeyUpdate('accessGrant')
    .executeTakeFirst()
  const grant = row && (await loadGrant(tx, grantId))
  if (!row || !grant) throw notFound('There is no such grant.', { type: 'Grant', id: grantId })
  if (grant.endedAt || grant.expiresAt <= needs.clock.now()) throw over(grant)
  if (!isAsStrong(proof, row.needed)) {
    throw proofTooWeak(`The grant was given to a caller with a ${row.needed}; a ${proof} is not enough to use it.`, {
      needed: row.needed,
      shown: proof,
    })
  }
  return { grant, tier: row.tier }
}

function isAsStrong(shown: Proof, needed: Proof): boolean {
  const [least, has] = [STRENGTH[needed], STRENGTH[shown]]
  // Whatever the proof, it is more than none.
  return shown === needed || needed === 'token' || (least !== undefined && has !== undefined && has >= least)
}

function issuedOf(grant: Grant, proof: Pick<Issued, 'id' | 'firstUseBefore' | 'isSingleUse'>): Issued {
  return { ...proof, grantId: grant.id, user: `${grant.account}@${grant.target}`, expiresAt: grant.expiresAt }
}

async function insertProof(
  tx: Tx,
  needs: IssueNeeds,
  proof: { readonly issued: Issued; readonly kind: 'ticket' | 'key'; readonly hash: Buffer; readonly cause: number },
): Promise<void> {
  const { issued, kind, hash, cause } = proof
  await tx
    .insertInto('grantProof')
    .values({
      id: issued.id,
      grantId: issued.grantId,
      kind,
      sha256: hash,
      isSingleUse: issued.isSingleUse,
      createdAt: needs.clock.now(),
      firstUseBefore: issued.firstUseBefore,
      firstUsedAt: null,
      firstAddress: null,
      cause,
    })
    .execute()
  await reachAccess('access.proof-issued')
}
