import { actOf } from '../identities/identities.ts'
import type { Db, Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { ensureCase, suspendNow } from './cases.ts'
import type { Obligation, Vendor } from './contract.ts'
import { vendorRevoked } from './events.ts'
import { collectObjects } from './items.ts'
import type { LifecycleNeeds } from './needs.ts'
import { obligationsOf } from './obligations.ts'
import { identitiesOfVendor } from './report.ts'

const MOST_OPEN = 5_000

/** What a vendor has here, and what of that lives. */
export async function readVendor(db: Db, vendor: string, now: Date): Promise<Vendor> {
  const rows = await db
    .selectFrom('identity')
    .leftJoin('lifecycleCase', (join) =>
      join.onRef('lifecycleCase.identityId', '=', 'identity.id').on('lifecycleCase.overAt', 'is', null),
    )
    .select(['identity.id', 'identity.name', 'identity.state', 'lifecycleCase.id as caseId'])
    .where('vendor', '=', vendor)
    .orderBy('identity.name')
    .limit(1_000)
    .execute()
  if (rows.length === 0) throw notFound('No identity acts for a vendor of this name.', { type: 'Vendor', id: vendor })
  const open: Obligation[] = []
  for (const { id, caseId } of rows) {
    const all = await obligationsOf(db, { caseId: caseId ?? id, identityId: id, now })
    open.push(...all.filter(({ isDead }) => !isDead))
  }
  const isOver = open.length === 0 && rows.every(({ state }) => state === 'retired')
  return { vendor, identities: rows, open: open.slice(0, MOST_OPEN), isOver }
}

/** Ends all that a vendor holds in one transaction: nobody of it acts after the commit, and what is not dead yet stands in the answer. */
export async function revokeVendor(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: Permit<'vendor.revoke'>,
  input: { readonly vendor: string; readonly reason: string },
): Promise<Vendor> {
  const { vendor, reason } = input
  const ids = await identitiesOfVendor(tx, vendor)
  await readVendor(tx, vendor, needs.clock.now())
  const act = actOf(permit)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: vendorRevoked,
    facts: { vendor, identities: ids, reason },
  })
  const since = needs.clock.now()
  for (const identityId of ids) {
    const detail = `all of ${vendor} was revoked`
    // It does not come back by itself, so there is nothing to wait for.
    const { id: caseId } = await ensureCase(tx, needs, act, { identityId, reason: 'vendor', detail, soakDays: 0 })
    await collectObjects(tx, needs, { caseId, since, cause, identityId, vendor })
    await suspendNow(tx, needs, act, { caseId, reason })
  }
  return readVendor(tx, vendor, needs.clock.now())
}
