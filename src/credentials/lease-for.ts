import { transact, type Db } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import { sleep } from '../kernel/timer.ts'
import { announce } from './announce.ts'
import { applyLease, recordIssued } from './apply.ts'
import { leaseImpossible, leaseRefused, leaseUnavailable } from './contract.ts'
import { reachLease } from './fault-points.ts'
import { giveUp } from './end-leases.ts'
import type { CredentialNeeds } from './needs.ts'
import { keptLogin, otherLogins } from './rotation/login.ts'
import { openSecret } from './site.ts'
import { STATIC } from './static-writer.ts'
import { termsOf, type LeasedAccount, type LeaseGrant } from './terms.ts'
import { LeaseFailure, NotWanted } from './writer.ts'

/** The login at the target that sessions of a grant share. */
export type IssuedLease = {
  readonly id: string
  readonly user: string
  readonly secret: Secret
  /** Of a login that is rotated: what it may be by now. Asked by who was refused with the one above. */
  readonly others?: () => Promise<readonly { readonly user: string; readonly secret: Secret }[]>
}

/** A second session of the same grant waits for the first one's lease this long. */
const WAIT_MS = 20_000
const LOOK_MS = 10
const SLOWEST_LOOK_MS = 200

/**
 * The lease of a grant: the one there is, or a new one. Announced and committed first, then made at the target outside any transaction,
 * then recorded as issued; whoever comes meanwhile waits for it. Throws `leaseRefused` when the grant is over, `leaseImpossible` when the
 * account cannot be acted as, and `leaseUnavailable` when the target did not do it now.
 */
export async function leaseFor(
  db: Db,
  needs: CredentialNeeds,
  grant: LeaseGrant,
  signal: AbortSignal,
): Promise<IssuedLease> {
  const until = needs.clock.monotonicMs() + WAIT_MS
  for (let lookMs = LOOK_MS; needs.clock.monotonicMs() < until; lookMs = Math.min(lookMs * 2, SLOWEST_LOOK_MS)) {
    signal.throwIfAborted()
    const found = await usableLease(db, needs, grant.id)
    if (found !== undefined && found !== 'announced') return found
    if (found === undefined) {
      const made = await makeLease(db, needs, grant, signal)
      if (made) return made
    }
    await sleep(lookMs, signal)
  }
  throw unavailable(grant, new LeaseFailure('another session has been waiting for the same credential'))
}

async function usableLease(
  db: Db,
  needs: CredentialNeeds,
  grantId: string,
): Promise<IssuedLease | 'announced' | undefined> {
  const row = await db
    .selectFrom('lease')
    .select(['id', 'targetId', 'accountId', 'kind', 'state', 'principal', 'sealedSecret'])
    .where('grantId', '=', grantId)
    .where('state', 'in', ['announced', 'issued'])
    .executeTakeFirst()
  if (!row) return undefined
  if (row.state === 'announced') return 'announced'
  if (row.kind === STATIC) {
    // Which login the account stands for may have changed since it was lent.
    const kept = await keptLogin(db, needs, row)
    if (!kept) throw new Error(`the issued lease ${row.id} has no secret`)
    return { id: row.id, user: kept.user, secret: kept.secret, ...since(db, needs, row, kept.secret) }
  }
  if (!row.sealedSecret) throw new Error(`the issued lease ${row.id} has no secret`)
  return { id: row.id, user: row.principal, secret: openSecret(needs.seal, row.id, row.sealedSecret) }
}

/** Undefined when another session was quicker. */
async function makeLease(
  db: Db,
  needs: CredentialNeeds,
  grant: LeaseGrant,
  signal: AbortSignal,
): Promise<IssuedLease | undefined> {
  const account = await termsOf(db, grant)
  if (!account)
    throw impossible(grant, 'The account cannot be acted as: it is retired, or was only seen at the target.')
  if (account.mode === 'static') return lendStatic(db, needs, grant, account)
  const writer = needs.writers.find((each) => each.protocol === account.protocol)
  if (!writer) throw impossible(grant, `No credentials are made for ${account.protocol} targets.`)
  if (account.terms.roles.length === 0) throw impossible(grant, 'None of the granted actions is in the catalog.')
  const id = newId(needs.clock, needs.random)
  const { terms, settings } = account
  const planned = writer.plan(needs.random, { leaseId: id, grantId: grant.id, terms, settings })
  const announced = await announce(db, needs, grant, { id, kind: writer.kind, account, planned })
  if (!announced) return undefined
  await reachLease('lease.announced')
  let secret: Secret
  try {
    secret = await applyLease(db, needs, { writer, grant, lease: { id, terms, planned } }, signal)
  } catch (error) {
    await transact(db, (tx) => giveUp(tx, needs, [id], 'issue-failed'))
    signal.throwIfAborted()
    throw unavailable(grant, error)
  }
  await reachLease('lease.issued')
  return { id, user: planned.principal, secret }
}

/** A standing credential is lent: announced and issued at once, since nothing happens at the target. */
async function lendStatic(
  db: Db,
  needs: CredentialNeeds,
  grant: LeaseGrant,
  account: LeasedAccount,
): Promise<IssuedLease | undefined> {
  const kept = await keptLogin(db, needs, grant)
  if (!kept) throw impossible(grant, 'The account has no sealed credential.')
  const { user, secret } = kept
  const id = newId(needs.clock, needs.random)
  const planned = { principal: user, revocability: 'none' } as const
  if (!(await announce(db, needs, grant, { id, kind: STATIC, account, planned }))) return undefined
  await reachLease('lease.announced')
  try {
    await transact(db, (tx) => recordIssued(tx, needs, grant, { id, planned, applied: { details: {} } }))
  } catch (error) {
    if (error instanceof NotWanted) throw leaseRefused('The grant ended.', { grantId: grant.id }, { cause: error })
    throw error
  }
  return { id, user, secret, ...since(db, needs, grant, secret) }
}

function since(
  db: Db,
  needs: CredentialNeeds,
  { targetId, accountId }: Pick<LeaseGrant, 'targetId' | 'accountId'>,
  secret: Secret,
): Pick<IssuedLease, 'others'> {
  return { others: () => otherLogins(db, needs, { targetId, accountId }, secret) }
}

function impossible(grant: LeaseGrant, sentence: string) {
  return leaseImpossible(sentence, { grantId: grant.id, accountId: grant.accountId })
}

function unavailable(grant: LeaseGrant, cause: unknown) {
  const why = cause instanceof LeaseFailure ? `: ${cause.message}` : ''
  return leaseUnavailable(
    `The target could not issue a credential${why}.`,
    { grantId: grant.id, retryAfterSeconds: 1 },
    { cause },
  )
}
