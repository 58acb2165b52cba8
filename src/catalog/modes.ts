import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict } from '../kernel/problem.ts'
import { actOf } from '../identities/identities.ts'
import { targetModeSet } from './events.ts'
import { lockTarget, TARGET_COLUMNS, targetFrom, type CatalogNeeds } from './records.ts'
import { enforcesAtTier0, type Account, type Mode, type SetMode, type Target } from './schemas.ts'

/** From the loosest to the strictest. */
const STRICTNESS: readonly Mode[] = ['observe', 'warn', 'enforce']

/** Whether more goes through under the next mode than did before. */
export function loosens(was: Mode, next: Mode): boolean {
  return STRICTNESS.indexOf(next) < STRICTNESS.indexOf(was)
}

/** The mode that a tier allows: at tier 0 it is enforced, whatever was said. */
export function modeAt(tier: number, mode: Mode): Mode {
  return tier === 0 ? 'enforce' : mode
}

/** The mode that acting as this account is under: an account of tier 0 is enforced at any target. */
export function modeOf(target: Pick<Target, 'mode' | 'sensitivity'>, account: Pick<Account, 'tier'>): Mode {
  return modeAt(Math.min(target.sensitivity, account.tier), target.mode)
}

/**
 * Changes how strictly a target holds what is decided. Policies were asked about a step from `was`, so a target that is in another mode
 * by now is a conflict: a step that tightens needs nobody else, and must not come to loosen.
 */
export async function setTargetMode(
  tx: Tx,
  needs: Pick<CatalogNeeds, 'ledger'>,
  permit: Permit<'target.set-mode'>,
  { mode, was, reason }: SetMode,
): Promise<Target> {
  const seen = await lockTarget(tx, permit.resource.id)
  if (seen.mode !== was) {
    throw conflict(`The target is in mode ${seen.mode}, not ${was}; look again.`, {
      type: 'Target',
      id: seen.id,
      state: seen.mode,
    })
  }
  if (modeAt(seen.sensitivity, mode) !== mode) {
    throw enforcesAtTier0('At tier 0 nothing goes through that would be refused.', { target: seen.name })
  }
  if (mode === was) return seen
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: targetModeSet,
    facts: { mode, was, loosens: loosens(was, mode), reason },
  })
  const row = await tx
    .updateTable('target')
    .set({ mode, version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '=', 'active')
    .returning(TARGET_COLUMNS)
    .executeTakeFirstOrThrow()
  return targetFrom(row)
}
