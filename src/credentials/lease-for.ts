import { transact, violatedConstraint, type Db, type Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import { sleep } from '../kernel/timer.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseImpossible, leaseRefused, leaseUnavailable } from './contract.ts'
import { leaseAnnounced, leaseIssued } from './events.ts'
import { reachLease } from './fault-points.ts'
import { giveUp } from './end-leases.ts'
import type { CredentialNeeds } from './needs.ts'
import { otherSecrets } from './rotation/login.ts'
import { openSecret, sealSecret, siteOf, staticSecretOf } from './site.ts'
import { STATIC } from './static-writer.ts'
import { StoredTerms, termsOf, type LeasedAccount, type LeaseGrant } from './terms.ts'
import { LeaseFailure, NotWanted, type Details, type LeaseWriter } from './writer.ts'

/** The login at the target that sessions of a grant share. */
export type IssuedLease = {
  readonly id: string
  readonly user: string
  readonly secret: Secret
  /** Of a login that is rotated: what the secret may be by now. Asked by who was refused with the one above. */
  readonly others?: () => Promise<readonly Secret[]>
}

/** How long the target may take; well under the bound after which an announced lease counts as abandoned. */
const ISSUE_MS = 15_000
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
  const secret =
    row.kind === STATIC
      ? await staticSecretOf(db, needs.seal, row.accountId)
      : row.sealedSecret && openSecret(needs.seal, row.id, row.sealedSecret)
  if (!secret) throw new Error(`the issued lease ${row.id} has no secret`)
  return { id: row.id, user: row.principal, secret, ...(row.kind === STATIC && since(db, needs, row, secret)) }
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
  const { principal, secret } = writer.announce(needs.random, account.terms)
  const id = await announce(db, needs, grant, { account, writer, principal, secret })
  if (id === undefined) return undefined
  await reachLease('lease.announced')
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(ISSUE_MS)])
    const site = await siteOf(db, needs.seal, grant.targetId)
    const lease = { id, principal, secret, terms: account.terms, details: undefined, issuedAt: null }
    const details = await writer.issue(site, lease, () => isStillAnnounced(db, id), within)
    await reachLease('lease.created-upstream')
    await transact(db, (tx) => recordIssued(tx, needs, grant, { id, principal, details }))
  } catch (error) {
    await transact(db, (tx) => giveUp(tx, needs, [id], 'issue-failed'))
    signal.throwIfAborted()
    throw unavailable(grant, error)
  }
  await reachLease('lease.issued')
  return { id, user: principal, secret }
}

type Announcing = {
  readonly account: LeasedAccount
  readonly writer: Pick<LeaseWriter, 'kind' | 'revocability'>
  readonly principal: string
  readonly secret: Secret | undefined
}

/** Intent before act (rule 5). Undefined when another session announced one first. */
async function announce(
  db: Db,
  needs: CredentialNeeds,
  grant: LeaseGrant,
  announcing: Announcing,
): Promise<string | undefined> {
  try {
    return await transact(db, (tx) => announceIn(tx, needs, grant, announcing))
  } catch (error) {
    if (violatedConstraint(error) === 'grant_has_one_usable_lease') return undefined
    throw error
  }
}

/** As `announce`, in a transaction of the caller's. Throws `leaseRefused` when the grant is over. */
export async function announceIn(
  tx: Tx,
  needs: Omit<CredentialNeeds, 'writers'>,
  grant: LeaseGrant,
  { account, writer, principal, secret }: Announcing,
): Promise<string> {
  const now = needs.clock.now()
  // The lock makes an end either come first, and be seen here, or come after, and find this lease.
  const live = await tx
    .selectFrom('accessGrant')
    .select('id')
    .where('id', '=', grant.id)
    .where('endedAt', 'is', null)
    .where('expiresAt', '>', now)
    .forShare()
    .executeTakeFirst()
  if (!live) throw leaseRefused('The grant is over, so it has no credential.', { grantId: grant.id })
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    event: leaseAnnounced,
    actor: SYSTEM,
    resource: { type: 'Lease', id },
    grantId: grant.id,
    outcome: 'announced',
    facts: {
      targetId: grant.targetId,
      accountId: grant.accountId,
      leaseKind: writer.kind,
      principal,
      revocability: writer.revocability,
      validUntil: account.terms.validUntil,
    },
  })
  await tx
    .insertInto('lease')
    .values({
      id,
      grantId: grant.id,
      targetId: grant.targetId,
      accountId: grant.accountId,
      nodeId: needs.nodeId,
      kind: writer.kind,
      principal,
      terms: JSON.stringify(
        StoredTerms.encode({
          ...account.terms,
          roles: [...account.terms.roles],
          databases: [...account.terms.databases],
        }),
      ),
      sealedSecret: secret ? sealSecret(needs.seal, id, secret) : null,
      state: 'announced',
      revocability: writer.revocability,
      announcedAt: now,
      cause,
    })
    .execute()
  return id
}

async function isStillAnnounced(db: Db, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('lease')
    .innerJoin('accessGrant', 'accessGrant.id', 'lease.grantId')
    .select('lease.id')
    .where('lease.id', '=', id)
    .where('lease.state', '=', 'announced')
    .where('accessGrant.endedAt', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

/** The credential was made. Throws `NotWanted` when the lease was ended meanwhile, which undoes the entry too. */
export async function recordIssued(
  tx: Tx,
  needs: Pick<CredentialNeeds, 'clock' | 'ledger'>,
  grant: LeaseGrant,
  made: { id: string; principal: string; details: Details },
): Promise<void> {
  const cause = await needs.ledger.record(tx, {
    event: leaseIssued,
    actor: SYSTEM,
    resource: { type: 'Lease', id: made.id },
    grantId: grant.id,
    outcome: 'done',
    facts: { principal: made.principal },
  })
  const issued = await tx
    .updateTable('lease')
    .set({ state: 'issued', issuedAt: needs.clock.now(), details: JSON.stringify(made.details), cause })
    .where('id', '=', made.id)
    .where('state', '=', 'announced')
    .executeTakeFirst()
  // Undoes the entry too.
  if (issued.numUpdatedRows !== 1n) throw new NotWanted('the lease was ended while it was being made')
}

/** A standing credential is lent: announced and issued at once, since nothing happens at the target. */
async function lendStatic(
  db: Db,
  needs: CredentialNeeds,
  grant: LeaseGrant,
  account: LeasedAccount,
): Promise<IssuedLease | undefined> {
  const secret = await staticSecretOf(db, needs.seal, grant.accountId)
  if (!secret) throw impossible(grant, 'The account has no sealed credential.')
  const user = account.terms.account
  const writer = { kind: STATIC, revocability: 'none' } as const
  const id = await announce(db, needs, grant, { account, writer, principal: user, secret: undefined })
  if (id === undefined) return undefined
  await reachLease('lease.announced')
  try {
    await transact(db, (tx) => recordIssued(tx, needs, grant, { id, principal: user, details: {} }))
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
  return { others: () => otherSecrets(db, needs, { targetId, accountId }, secret) }
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
