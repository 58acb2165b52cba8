import { transact, type Db } from '../../kernel/db.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { lockOpen, type Claimed } from './claim.ts'
import { rotationFenced } from './events.ts'
import type { RotationNeeds } from './needs.ts'

/**
 * The target has the mark of a later rotation than this one: the record was restored from a copy. The rotation is over and nothing was ended, because what
 * it takes for the old secret may be the one that lives. No rotation of this login starts by itself until a person started one.
 */
export async function endAsBehind(db: Db, needs: RotationNeeds, claimed: Claimed): Promise<void> {
  await transact(db, async (tx) => {
    const { state } = await lockOpen(tx, claimed.id)
    const now = needs.clock.now()
    const facts = { principal: claimed.principal, state }
    const resource = { type: 'Rotation', id: claimed.id }
    const cause = await needs.ledger.record(tx, {
      event: rotationFenced,
      actor: SYSTEM,
      resource,
      outcome: 'refused',
      facts,
    })
    await tx
      .updateTable('rotation')
      .set({
        state: 'superseded',
        stateAt: now,
        overAt: now,
        nextTryAt: null,
        sealedNext: null,
        sealedPrevious: null,
        waitsFor: null,
        lastError:
          'the target knows a later rotation: this record was restored; nothing was ended, start another rotation',
        escalation: 'security',
        evidence: JSON.stringify({ fencedAt: now.toISOString(), state }),
        cause,
      })
      .where('id', '=', claimed.id)
      .execute()
  })
}
