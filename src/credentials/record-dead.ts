import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import type { Claimed } from './claim.ts'
import type { Evidence } from './contract.ts'
import { leaseDead, leaseResidue } from './events.ts'
import type { CredentialNeeds } from './needs.ts'
import { STATIC } from './static-writer.ts'
import type { Ended, Residue } from './writer.ts'

const LISTED = 100
const NAME_MAX = 120

type Proven = Ended & { readonly claimed: Claimed }

/** The obligations are met: evidence kept, secrets gone, and what a lease left behind is a finding. Each has an entry of its own. */
export async function recordDead(tx: Tx, needs: CredentialNeeds, proven: readonly Proven[]): Promise<void> {
  if (proven.length === 0) return
  const now = needs.clock.now()
  const rows = await tx
    .selectFrom('lease')
    .select('id')
    .where('id', '=', sql<string>`any(${proven.map(({ claimed }) => claimed.id)}::uuid[])`)
    .where('state', '=', 'ending')
    .orderBy('id')
    .forUpdate()
    .execute()
  const open = new Set(rows.map(({ id }) => id))
  const ours = await ourPrincipals(tx, proven)
  const dead: { readonly claimed: Claimed; readonly told: Evidence }[] = []
  for (const each of proven.filter(({ claimed }) => open.has(claimed.id))) {
    const { claimed, residue, evidence } = each
    const appeared = foreign(residue, ours)
    if (appeared.length > 0) await recordResidue(tx, needs, claimed, { appeared, unread: residue.unread })
    const unread = residue.unread.slice(0, LISTED)
    const seen = { provenAt: now.toISOString(), attempts: claimed.attempts, residue: appeared.length, unread }
    dead.push({ claimed, told: { ...evidence, ...seen } })
  }
  if (dead.length === 0) return
  const causes = await needs.ledger.recordAll(
    tx,
    dead.map(({ claimed, told }) => ({
      ...about(claimed),
      event: leaseDead,
      outcome: 'done',
      facts: { principal: claimed.lease.principal, evidence: told },
    })),
  )
  const ids = dead.map(({ claimed }) => claimed.id)
  const evidences = dead.map(({ told }) => JSON.stringify(told))
  await sql`
    update lease
       set state = 'dead', dead_at = ${now}, evidence = each.evidence::jsonb, sealed_secret = null, next_try_at = null,
           last_error = null, escalation = 'none', cause = each.cause
      from unnest(${ids}::uuid[], ${evidences}::text[], ${causes}::bigint[]) as each (id, evidence, cause)
     where lease.id = each.id`.execute(tx)
}

function about({ id, grantId }: Claimed) {
  return { actor: SYSTEM, resource: { type: 'Lease', id }, grantId } as const
}

async function recordResidue(
  tx: Tx,
  needs: CredentialNeeds,
  claimed: Claimed,
  { appeared, unread }: { readonly appeared: readonly string[]; readonly unread: readonly string[] },
): Promise<void> {
  await needs.ledger.record(tx, {
    ...about(claimed),
    event: leaseResidue,
    outcome: 'done',
    facts: {
      targetId: claimed.targetId,
      principal: claimed.lease.principal,
      appeared: appeared.slice(0, LISTED),
      unread: unread.slice(0, LISTED),
      isCut: appeared.length > LISTED,
    },
  })
  needs.log.warn({ leaseId: claimed.id, appeared: appeared.length }, 'a lease left something behind at its target')
}

/** Other leases of the target come and go meanwhile; only what is in our own record counts as such. */
async function ourPrincipals(tx: Tx, proven: readonly Proven[]): Promise<ReadonlySet<string>> {
  const principals = new Set(proven.flatMap(({ residue }) => residue.appeared.flatMap((item) => item.principal ?? [])))
  if (principals.size === 0) return principals
  const targets = [...new Set(proven.map(({ claimed }) => claimed.targetId))]
  const rows = await tx
    .selectFrom('lease')
    .select('principal')
    .where('targetId', 'in', targets)
    .where('kind', '<>', STATIC)
    .where('principal', 'in', [...principals])
    .execute()
  return new Set(rows.map(({ principal }) => principal))
}

function foreign(residue: Residue, ours: ReadonlySet<string>): string[] {
  return residue.appeared
    .filter((item) => item.principal === undefined || !ours.has(item.principal))
    .map((item) => `${item.kind} in ${item.where}: ${item.name}`.slice(0, NAME_MAX))
}
