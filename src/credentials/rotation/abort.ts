import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { actOf } from '../../identities/identities.ts'
import { CLAIM_MS } from '../pace.ts'
import type { Rotation } from './contract.ts'
import { rotationAbortAsked } from './events.ts'
import { keepSecret, openPrevious } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { readRotation } from './reads.ts'
import { strategyOf } from './strategies/index.ts'

/** Where the old one lives still, whatever the strategy; with two secrets it lives until it is disabled. */
const BEFORE_ISSUE = ['planned']
const BEFORE_DISABLED = ['planned', 'issued', 'verified', 'distributed', 'adopted']

/**
 * Backs out: the old secret is what is kept again, in this transaction, and the new one becomes what has to be proven dead. Refused once the old one is
 * disabled, and, where the target knows one secret, once it was told the new one.
 */
export async function abortRotation(
  tx: Tx,
  needs: Pick<RotationNeeds, 'clock' | 'ledger' | 'seal'>,
  permit: Permit<'rotation.abort'>,
  { reason }: { readonly reason: string },
): Promise<Rotation> {
  const { id } = permit.resource
  const seen = await tx.selectFrom('rotation').select(['targetId', 'accountId']).where('id', '=', id).executeTakeFirst()
  if (!seen) throw notFound('There is no such rotation.', { type: 'Rotation', id })
  // In this order everywhere: first the login, then its rotation.
  if (seen.accountId !== null) {
    await tx.selectFrom('account').select('id').where('id', '=', seen.accountId).forUpdate().execute()
  } else await tx.selectFrom('target').select('id').where('id', '=', seen.targetId).forUpdate().execute()
  const row = await tx.selectFrom('rotation').selectAll().where('id', '=', id).forUpdate().executeTakeFirstOrThrow()
  const { state } = row
  const isTwo = strategyOf(row.strategy)?.coexisting === 2
  if (!(isTwo ? BEFORE_DISABLED : BEFORE_ISSUE).includes(state)) {
    const why = row.overAt ? 'It is over.' : 'The old secret does not live any more, so there is nothing to go back to.'
    throw conflict(why, { type: 'Rotation', id, state })
  }
  const facts = { principal: row.principal, state, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: rotationAbortAsked, facts })
  if (row.sealedPrevious) {
    const secret = openPrevious(needs, id, row.sealedPrevious)
    await keepSecret(tx, needs, row, { user: row.principal, secret, cause })
  }
  const now = needs.clock.now()
  // Somebody may be at the target with it this very moment: their claim runs out first.
  const nextTryAt = row.attempts === 0 ? now : secondsAfter(now, CLAIM_MS / 1000)
  await tx
    .updateTable('rotation')
    .set({ state: 'aborting', stateAt: now, sealedPrevious: null, waitsFor: null, lastError: null, nextTryAt, cause })
    .where('id', '=', id)
    .execute()
  return readRotation(tx, id)
}
