import { transact, type Db, type Tx } from '../kernel/db.ts'
import { Secret } from '../kernel/secret.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseIssued, leaseKept } from './events.ts'
import { reachLease } from './fault-points.ts'
import type { CredentialNeeds } from './needs.ts'
import { sealSecret, siteFor } from './site.ts'
import type { LeaseGrant } from './terms.ts'
import { NotWanted, type Applied, type Details, type LeaseTerms, type LeaseWriter, type Planned } from './writer.ts'

/** How long the target may take; well under the bound after which an announced lease counts as abandoned. */
const APPLY_MS = 15_000

/** Until the target has chosen one. */
const NONE = new Secret('')

type Needs = Omit<CredentialNeeds, 'writers'>

export type Applying = {
  readonly writer: LeaseWriter
  readonly grant: LeaseGrant
  readonly lease: { readonly id: string; readonly terms: LeaseTerms; readonly planned: Planned }
  /** Done in the transaction that records it; what it throws undoes that. */
  readonly also?: (tx: Tx, applied: Applied, cause: number) => Promise<void>
}

/** Makes an announced credential at its target, outside any transaction, and records it. Gives its secret; what throws is to be given up. */
export async function applyLease(db: Db, needs: Needs, applying: Applying, signal: AbortSignal): Promise<Secret> {
  const { writer, grant, lease, also } = applying
  const { id, terms, planned } = lease
  const within = AbortSignal.any([signal, AbortSignal.timeout(APPLY_MS)])
  const site = await siteFor(db, needs.seal, writer, grant)
  const making = {
    isWanted: () => isStillAnnounced(db, id),
    keep: (details: Details) => keep(db, needs, { id, grantId: grant.id, details }),
  }
  const written = {
    id,
    principal: planned.principal,
    secret: planned.secret ?? NONE,
    terms,
    details: undefined,
    issuedAt: null,
  }
  const applied = await writer.apply(site, written, making, within)
  const secret = applied.secret ?? planned.secret
  if (!secret) throw new Error(`a ${writer.kind} was made without a secret`)
  await reachLease('lease.created-upstream')
  await transact(db, async (tx) => {
    // Whoever ends it holds the grant and wants the lease: who also needs the grant asks for it first.
    if (also) await tx.selectFrom('accessGrant').select('id').where('id', '=', grant.id).forShare().execute()
    const cause = await recordIssued(tx, needs, grant, { id, planned, applied })
    await also?.(tx, applied, cause)
  })
  return secret
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

type Keeping = { readonly id: string; readonly grantId: string; readonly details: Details }

/** Before the act: whoever has to end what this process never told of finds it by these details. */
async function keep(db: Db, needs: Needs, { id, grantId, details }: Keeping): Promise<boolean> {
  if (!(await isStillAnnounced(db, id))) return false
  try {
    await transact(db, async (tx) => {
      const cause = await needs.ledger.record(tx, {
        event: leaseKept,
        actor: SYSTEM,
        resource: { type: 'Lease', id },
        grantId,
        outcome: 'announced',
        facts: {},
      })
      const kept = await tx
        .updateTable('lease')
        .set({ details: JSON.stringify(details), cause })
        .where('id', '=', id)
        .where('state', '=', 'announced')
        .executeTakeFirst()
      if (kept.numUpdatedRows !== 1n) throw new NotWanted('the lease was ended while it was being made')
    })
  } catch (error) {
    if (error instanceof NotWanted) return false
    throw error
  }
  await reachLease('lease.kept')
  return true
}

type Made = { readonly id: string; readonly planned: Planned; readonly applied: Applied }

/** The credential was made. Throws `NotWanted` when the lease was ended meanwhile, which undoes the entry too. */
export async function recordIssued(
  tx: Tx,
  needs: Pick<CredentialNeeds, 'clock' | 'ledger' | 'seal'>,
  grant: LeaseGrant,
  { id, planned, applied }: Made,
): Promise<number> {
  const residualBefore = residualOf(planned, applied.validBefore ?? grant.expiresAt)
  const cause = await needs.ledger.record(tx, {
    event: leaseIssued,
    actor: SYSTEM,
    resource: { type: 'Lease', id },
    grantId: grant.id,
    outcome: 'done',
    facts: { principal: planned.principal, residualBefore },
  })
  const issued = await tx
    .updateTable('lease')
    .set({
      state: 'issued',
      issuedAt: needs.clock.now(),
      details: JSON.stringify(applied.details),
      residualBefore,
      ...(applied.secret && { sealedSecret: sealSecret(needs.seal, id, applied.secret) }),
      cause,
    })
    .where('id', '=', id)
    .where('state', '=', 'announced')
    .executeTakeFirst()
  // Undoes the entry too.
  if (issued.numUpdatedRows !== 1n) throw new NotWanted('the lease was ended while it was being made')
  return cause
}

/** Until when it may be taken for good although it was ended: said from the start, since nobody can end it sooner everywhere. */
function residualOf({ revocability }: Planned, validBefore: Date): Date | null {
  return revocability === 'next-login' || revocability === 'expires-only' ? validBefore : null
}
