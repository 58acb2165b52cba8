import { transact, violatedConstraint, type Db, type Tx } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseAnnounced } from './events.ts'
import type { CredentialNeeds } from './needs.ts'
import { leaseRefused } from './problems.ts'
import { sealSecret } from './site.ts'
import { StoredTerms, type LeasedAccount, type LeaseGrant } from './terms.ts'
import type { Planned } from './writer.ts'

type Needs = Omit<CredentialNeeds, 'writers'>

export type Announcing = {
  readonly id: string
  readonly kind: string
  readonly account: LeasedAccount
  readonly planned: Planned
}

/** Intent before act (rule 5). False when another session announced one first. */
export async function announce(db: Db, needs: Needs, grant: LeaseGrant, announcing: Announcing): Promise<boolean> {
  try {
    await transact(db, (tx) => announceIn(tx, needs, grant, announcing))
    return true
  } catch (error) {
    if (isTaken(error)) return false
    throw error
  }
}

/** Whether the grant has a lease that can be used already. */
export function isTaken(error: unknown): boolean {
  return violatedConstraint(error) === 'grant_has_one_usable_lease'
}

/** As `announce`, in a transaction of the caller's. Throws `leaseRefused` when the grant is over. */
export async function announceIn(
  tx: Tx,
  needs: Needs,
  grant: LeaseGrant,
  { id, kind, account, planned }: Announcing,
): Promise<number> {
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
  const { principal, revocability, secret } = planned
  const cause = await needs.ledger.record(tx, {
    event: leaseAnnounced,
    actor: SYSTEM,
    resource: { type: 'Lease', id },
    grantId: grant.id,
    outcome: 'announced',
    facts: {
      targetId: grant.targetId,
      accountId: grant.accountId,
      leaseKind: kind,
      principal,
      revocability,
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
      kind,
      principal,
      terms: JSON.stringify(
        StoredTerms.encode({
          ...account.terms,
          roles: [...account.terms.roles],
          databases: [...account.terms.databases],
          actions: [...(account.terms.actions ?? [])],
        }),
      ),
      sealedSecret: secret ? sealSecret(needs.seal, id, secret) : null,
      state: 'announced',
      revocability,
      announcedAt: now,
      cause,
    })
    .execute()
  return cause
}
