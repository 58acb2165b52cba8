import { transact, type Tx } from '../../kernel/db.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { NotWanted } from '../writer.ts'
import type { Claimed } from './claim.ts'
import { rotationRegenerated } from './events.ts'
import { sealNext } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { SecretRefused } from './rotator.ts'
import type { Strategy, Work } from './strategies/strategy.ts'

/** How many secrets one attempt makes for a target that refuses them. */
const MOST_MADE = 3

/** Tells the target the secret. One it refuses by its own rules is replaced by another, the old one being good all the while. */
export async function tell(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db, rotator } = work
  if (strategy.maker !== 'reeve') return strategy.issue(work, at, at.next)
  let { generation } = at
  let next = at.next ?? rotator.make(needs.random)
  for (let made = 1; ; made += 1) {
    try {
      return await strategy.issue(work, { ...at, generation }, next)
    } catch (error) {
      // Once it took the old one's place it is not replaced any more.
      const isReplaced = error instanceof SecretRefused && at.state === 'planned'
      if (!isReplaced || made === MOST_MADE) throw error
      next = rotator.make(needs.random)
      generation += 1
      const sealed = sealNext(needs, at.id, next)
      const to = generation
      await transact(db, (tx) => regenerate(tx, needs, at, { sealed, generation: to }))
    }
  }
}

async function regenerate(
  tx: Tx,
  needs: RotationNeeds,
  at: Claimed,
  { sealed, generation }: { readonly sealed: Buffer; readonly generation: number },
): Promise<void> {
  const resource = { type: 'Rotation', id: at.id }
  const cause = await needs.ledger.record(tx, {
    actor: SYSTEM,
    resource,
    outcome: 'done',
    event: rotationRegenerated,
    facts: { generation },
  })
  const changed = await tx
    .updateTable('rotation')
    .set({ sealedNext: sealed, generation, cause })
    .where('id', '=', at.id)
    .where('state', '=', 'planned')
    .where('generation', '=', generation - 1)
    .executeTakeFirst()
  if (changed.numUpdatedRows !== 1n) throw new NotWanted('the rotation went on elsewhere')
}
