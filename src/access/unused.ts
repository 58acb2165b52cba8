/**
 * Grants that nobody uses, when what they stand on changed. One whose next use could only be refused would stand in every list as power that
 * somebody has, so it ends. What passes is left to that use: hours and freezes, and the risk.
 */
import type { Db, Tx } from '../kernel/db.ts'
import { decideUse } from './decide-use.ts'
import { factsNow } from './facts-now.ts'
import type { AccessNeeds } from './needs.ts'
import { loadGrant } from './read.ts'
import { riseOf } from './rise.ts'

/** What changed: everything, or one thing of the record. */
export type Changed = { readonly kind: 'all' | 'target' | 'account' | 'purpose' | 'identity'; readonly id: string }

/** Grants that last, stand on it, and are in use nowhere. */
export async function unusedGrants(db: Db, { kind, id }: Changed): Promise<string[]> {
  let rows = db
    .selectFrom('accessGrant as g')
    .select('g.id')
    .where('g.endedAt', 'is', null)
    .where((is) =>
      is.not(
        is.exists(
          is
            .selectFrom('grantUse as u')
            .select('u.id')
            .whereRef('u.grantId', '=', 'g.id')
            .where('u.state', 'in', ['reserved', 'live']),
        ),
      ),
    )
    .orderBy('g.id')
  if (kind === 'target') rows = rows.where('g.targetId', '=', id)
  if (kind === 'account') rows = rows.where('g.accountId', '=', id)
  if (kind === 'purpose') rows = rows.where('g.purposeId', '=', id)
  if (kind === 'identity')
    rows = rows.where((row) => row.or([row('g.subjectId', '=', id), row('g.onBehalfOfId', '=', id)]))
  return (await rows.execute()).map((row) => row.id)
}

/**
 * Why the rules and the record of now would not give it any more: asked for the hour and at the risk it was given at, by the strongest proof.
 * Empty where they would, or it is over.
 */
export async function whyNoMore(tx: Tx, needs: AccessNeeds, grantId: string): Promise<readonly string[]> {
  const grant = await loadGrant(tx, grantId)
  if (!grant || grant.endedAt || grant.expiresAt <= needs.clock.now()) return []
  const then = { ...needs, clock: { now: () => grant.startsAt, monotonicMs: () => needs.clock.monotonicMs() } }
  const facts = await factsNow(tx, { grant, proofId: grant.id, proofKind: 'key' })
  const { reasons, risk } = await decideUse(tx, then, facts)
  if (reasons.length === 0) return []
  return (await riseOf(tx, then, facts, risk)) === undefined ? reasons : []
}
