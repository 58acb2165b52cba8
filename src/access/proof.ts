import { sha256 } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Clock } from '../kernel/clock.ts'
import { loadAccountById, loadTarget } from '../catalog/catalog.ts'
import type { Account, Target } from '../catalog/contract.ts'
import type { Identity } from '../identities/contract.ts'
import { placeOf } from './address.ts'
import { knownIdentity } from './chain.ts'
import type { Grant, USE_REFUSALS } from './contract.ts'
import { loadGrant } from './read.ts'

/** What a caller shows at a gateway. */
type Shown =
  | { readonly kind: 'ticket'; readonly secret: Secret }
  | { readonly kind: 'key'; readonly spkiSha256: Buffer }

export type Proving = {
  readonly proof: Shown
  readonly address: string
  readonly targetName: string
  readonly accountName: string
}

/** What a proof leads to. Facts of the moment: only `useGrant` decides whether it may be used. */
export type GrantFacts = {
  readonly proofId: string
  readonly proofKind: 'ticket' | 'key'
  readonly grant: Grant
  readonly subject: Identity
  readonly target: Target
  readonly account: Account
}

/** Why not, in one sentence that may be shown and says what to do. */
export type UseRefusal = { readonly code: (typeof USE_REFUSALS)[number]; readonly sentence: string }

export type Proven =
  | { readonly kind: 'proven'; readonly facts: GrantFacts }
  | { readonly kind: 'refused'; readonly refusal: UseRefusal }

/** One answer for every proof that leads to nothing here: nobody learns whether a target, an account or a ticket exists. */
const UNKNOWN: UseRefusal = {
  code: 'unknown',
  sentence: 'This proof opens nothing here. Ask for a new one: reeve run --help says how.',
}

/**
 * Finds the grant behind a proof. Who shows the right secret for the right account is told what is wrong with it; everybody
 * else gets one and the same refusal. A look only: it changes nothing and reserves nothing.
 */
export async function proveGrant(db: Db, needs: { readonly clock: Clock }, proving: Proving): Promise<Proven> {
  const { proof } = proving
  const hash = proof.kind === 'ticket' ? sha256(proof.secret.reveal()) : proof.spkiSha256
  const row = await db
    .selectFrom('grantProof')
    .selectAll()
    .where('sha256', '=', hash)
    .where('kind', '=', proof.kind)
    .executeTakeFirst()
  const grant = row && (await loadGrant(db, row.grantId))
  if (!grant || grant.target !== proving.targetName || grant.account !== proving.accountName) return refused(UNKNOWN)
  const now = needs.clock.now()
  const refusal = refusalOfGrant(grant, now) ?? refusalOfProof(row, proving.address, now)
  if (refusal) return refused(refusal)
  const target = await loadTarget(db, grant.targetId)
  const account = await loadAccountById(db, grant.accountId)
  if (!target || !account) return refused(UNKNOWN)
  const subject = await knownIdentity(db, grant.subjectId)
  return { kind: 'proven', facts: { proofId: row.id, proofKind: row.kind, grant, subject, target, account } }
}

type GrantState = Pick<Grant, 'endedAt' | 'endReason' | 'expiresAt' | 'uses' | 'maxUses'>

/** Why a grant carries no further use at `now`. */
export function refusalOfGrant(grant: GrantState, now: Date): UseRefusal | undefined {
  if (grant.endedAt) {
    return over(`The grant ended at ${grant.endedAt.toISOString()} (${grant.endReason ?? 'ended'}).`)
  }
  if (grant.expiresAt <= now) return over(`The grant ran out at ${grant.expiresAt.toISOString()}.`)
  if (grant.maxUses !== null && grant.uses >= grant.maxUses) {
    return {
      code: 'used-up',
      sentence: `The grant was for ${grant.maxUses} use(s) and they are used up. Request again.`,
    }
  }
  return undefined
}

type ProofState = {
  readonly kind: 'ticket' | 'key'
  readonly isSingleUse: boolean
  readonly firstUseBefore: Date
  readonly firstUsedAt: Date | null
  readonly firstAddress: string | null
}

/**
 * Why a proof does not count at `now` from `address`. A ticket is a bearer secret, so whatever the tier it is worth something only
 * from the place of its first use (core 24); a key stays with who made it and is bound to no place.
 */
export function refusalOfProof(proof: ProofState, address: string, now: Date): UseRefusal | undefined {
  if (proof.firstUsedAt === null) {
    if (now < proof.firstUseBefore) return undefined
    return over(`The ${proof.kind} had to be used before ${proof.firstUseBefore.toISOString()}.`)
  }
  if (proof.isSingleUse) {
    return {
      code: 'used-up',
      sentence: `The ${proof.kind} was for one use and was used at ${proof.firstUsedAt.toISOString()}.`,
    }
  }
  if (proof.kind === 'ticket' && proof.firstAddress !== placeOf(address)) return UNKNOWN
  return undefined
}

function over(what: string): UseRefusal {
  return { code: 'over', sentence: `${what} Request again if it is still needed.` }
}

function refused(refusal: UseRefusal): Proven {
  return { kind: 'refused', refusal }
}
