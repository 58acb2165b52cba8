import { sql } from 'kysely'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { actOf } from '../identities/identities.ts'
import { SYSTEM, type Fact } from '../ledger/ledger.ts'
import { tierOf } from './accounts.ts'
import { targetSurveyed } from './events.ts'
import { loadTarget, lockTarget, unknownTarget, type CatalogNeeds, type SeenAccount } from './records.ts'
import { targetUnreachable } from './schemas.ts'

/** Names in an entry; the accounts themselves are rows. */
const MAX_NAMES = 100
/** Rows of one insert. */
const CHUNK = 500

export type Surveyed = { readonly seen: number; readonly added: number; readonly unclaimed: number }
type Act = Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'resource' | 'decision' | 'outcome'>

/**
 * Reads the target outside of any transaction, then keeps what was seen. A reading that fails is entered as failed and changes nothing:
 * what could not be seen is not gone (rule 7).
 */
export async function surveyTarget(
  db: Db,
  needs: CatalogNeeds,
  permit: Permit<'target.survey'>,
  signal: AbortSignal,
): Promise<Surveyed> {
  const target = await loadTarget(db, permit.resource.id)
  if (!target) throw unknownTarget(permit.resource.id)
  if (target.state !== 'active') {
    throw conflict('The target is retired.', { type: 'Target', id: target.id, state: target.state })
  }
  let seen: readonly SeenAccount[]
  try {
    seen = await needs.survey(target, signal)
  } catch (error) {
    await transact(db, (tx) =>
      needs.ledger.record(tx, {
        ...actOf(permit),
        event: targetSurveyed,
        outcome: 'failed',
        facts: { seen: 0, added: [], superusers: [] },
      }),
    )
    throw targetUnreachable(
      'The target could not be read: check its address and its login.',
      { targetId: target.id },
      { cause: error },
    )
  }
  return transact(db, (tx) => recordSeen(tx, needs, target.id, seen, actOf(permit)))
}

/** Keeps what a complete reading found: new accounts enter as `seen`, known ones get what was read of them. */
export async function recordSeen(
  tx: Tx,
  needs: Pick<CatalogNeeds, 'clock' | 'random' | 'ledger'>,
  targetId: string,
  seen: readonly SeenAccount[],
  act: Act = { actor: SYSTEM, resource: { type: 'Target', id: targetId }, outcome: 'done' },
): Promise<Surveyed> {
  const target = await lockTarget(tx, targetId)
  const standing = await tx.selectFrom('account').select('name').where('targetId', '=', targetId).execute()
  const known = new Set(standing.map((row) => row.name))
  const added = seen.map((account) => account.name).filter((name) => !known.has(name))
  const superusers = seen.filter((account) => account.attributes.isSuperuser).map((account) => account.name)
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: targetSurveyed,
    facts: { seen: seen.length, added: added.slice(0, MAX_NAMES), superusers: superusers.slice(0, MAX_NAMES) },
  })
  const rows = [...new Map(seen.map((account) => [account.name, account])).values()].map(({ name, attributes }) => ({
    id: newId(needs.clock, needs.random),
    targetId,
    name,
    identityId: null,
    mode: 'seen' as const,
    tier: tierOf(target, attributes),
    sealedCredential: null,
    attributes: JSON.stringify(attributes),
    seenAt: needs.clock.now(),
    cause,
  }))
  for (let at = 0; at < rows.length; at += CHUNK) {
    await tx
      .insertInto('account')
      .values(rows.slice(at, at + CHUNK))
      .onConflict((conflicting) =>
        conflicting.columns(['targetId', 'name']).doUpdateSet((is) => ({
          attributes: is.ref('excluded.attributes'),
          seenAt: is.ref('excluded.seenAt'),
          // Stricter when more was seen; what somebody set stays otherwise.
          tier: sql<number>`least(account.tier, excluded.tier)`,
          version: sql<number>`account.version + 1`,
          cause,
        })),
      )
      .execute()
  }
  const unclaimed = await tx
    .selectFrom('account')
    .select((is) => is.fn.countAll<number>().as('count'))
    .where('targetId', '=', targetId)
    .where('identityId', 'is', null)
    .where('state', '=', 'active')
    .executeTakeFirstOrThrow()
  return { seen: rows.length, added: new Set(added).size, unclaimed: unclaimed.count }
}
