import type { z } from 'zod'
import type { Tx } from '../../kernel/db.ts'
import type { EventKind } from '../../kernel/event.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import { NotWanted } from '../writer.ts'
import { lockOpen, type Claimed } from './claim.ts'
import type { Rotation } from './contract.ts'
import type { RotationNeeds } from './needs.ts'

/** What an arrow writes beside the state. */
type Moved = {
  issuedAt?: Date | null
  verifiedAt?: Date | null
  distributedAt?: Date
  toldAt?: Date
  adoptedAt?: Date
  disabledAt?: Date
  soakBefore?: Date
  revokedAt?: Date
  overAt?: Date
  nextTryAt?: null
  sealedNext?: null
  sealedPrevious?: Buffer | null
  escalation?: 'none'
  evidence?: string
}

type Arrow<Shape extends z.ZodRawShape> = {
  readonly to: Rotation['state']
  readonly set?: Moved
  readonly event: EventKind<Shape>
  readonly facts: Fact<Shape>['facts']
}

/** One arrow: its entry and its row, if the rotation is still where this attempt left it. Returns the entry. */
export async function arrow<Shape extends z.ZodRawShape>(
  tx: Tx,
  needs: Pick<RotationNeeds, 'ledger' | 'clock'>,
  at: Claimed,
  { to, set, event, facts }: Arrow<Shape>,
): Promise<number> {
  const { state } = await lockOpen(tx, at.id)
  if (state !== at.state) throw new NotWanted('the rotation went on elsewhere')
  const resource = { type: 'Rotation', id: at.id }
  const cause = await needs.ledger.record(tx, { actor: SYSTEM, resource, outcome: 'done', event, facts })
  const moved = state === to ? {} : { stateAt: needs.clock.now() }
  await tx
    .updateTable('rotation')
    .set({ ...set, ...moved, state: to, waitsFor: null, lastError: null, cause })
    .where('id', '=', at.id)
    .execute()
  return cause
}
