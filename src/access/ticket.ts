import { secondsAfter } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { actOf } from '../identities/identities.ts'
import { keyIssued, ticketIssued, type Grant } from './contract.ts'
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

/** Makes a ticket for the permit's grant. Its secret is in this answer and nowhere else. Throws `grantOver`. */
export async function issueTicket(
  tx: Tx,
  needs: IssueNeeds,
  permit: Permit<'ticket.issue'>,
  input: { readonly isSingleUse: boolean },
): Promise<Issued & { readonly ticket: Secret }> {
  const { grant, tier } = await lockLive(tx, needs, permit.resource.id)
  const ticket = new Secret(TICKET_PREFIX + needs.random.bytes(TICKET_BYTES).toString('base64url'))
  const id = newId(needs.clock, needs.random)
  const deadline = secondsAfter(needs.clock.now(), FIRST_USE_SECONDS[tier] ?? FIRST_USE_SECONDS[0] ?? 60)
  const firstUseBefore = deadline < grant.expiresAt ? deadline : grant.expiresAt
  const { isSingleUse } = input
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
 * Binds a public key, named by the hash of its SubjectPublicKeyInfo, to the permit's grant. The private key never left who made it,
 * so it may wait for its first use as long as the grant lives. Throws `grantOver`.
 */
export async function issueKey(
  tx: Tx,
  needs: IssueNeeds,
  permit: Permit<'key.issue'>,
  input: { readonly spkiSha256: Buffer; readonly isSingleUse: boolean },
): Promise<Issued> {
  const { grant } = await lockLive(tx, needs, permit.resource.id)
  const id = newId(needs.clock, needs.random)
  const firstUseBefore = grant.expiresAt
  const { isSingleUse, spkiSha256 } = input
  const cause = await needs.ledger.record(tx, {
    event: keyIssued,
    ...actOf(permit),
    grantId: grant.id,
    facts: { proofId: id, spkiSha256: spkiSha256.toString('hex'), isSingleUse, firstUseBefore },
  })
  const issued = issuedOf(grant, { id, firstUseBefore, isSingleUse })
  await insertProof(tx, needs, { issued, kind: 'key', hash: spkiSha256, cause })
  return issued
}

async function lockLive(tx: Tx, needs: IssueNeeds, grantId: string): Promise<{ grant: Grant; tier: number }> {
  const row = await tx
    .selectFrom('accessGrant')
    .innerJoin('account', 'account.id', 'accessGrant.accountId')
    .select('account.tier')
    .where('accessGrant.id', '=', grantId)
    .forShare('accessGrant')
    .executeTakeFirst()
  const grant = row && (await loadGrant(tx, grantId))
  if (!row || !grant) throw notFound('There is no such grant.', { type: 'Grant', id: grantId })
  if (grant.endedAt || grant.expiresAt <= needs.clock.now()) throw over(grant)
  return { grant, tier: row.tier }
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
