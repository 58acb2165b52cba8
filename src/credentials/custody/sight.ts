import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import type { CustodyNeeds } from './needs.ts'

type Sight = {
  readonly depositId: string
  readonly number: number
  readonly how: 'put' | 'revealed' | 'exported'
  readonly cause: number
}

/** Notes who knows a value from now on: whoever acted, and everybody they acted for. It counts when one of them leaves. */
export async function hasRead(
  tx: Tx,
  needs: Pick<CustodyNeeds, 'clock' | 'random'>,
  permit: Permit,
  sight: Sight,
): Promise<void> {
  const at = needs.clock.now()
  const who = new Set([permit.subject.id, ...permit.onBehalfOf.map(({ id }) => id)])
  const rows = [...who].map((identityId) => ({ ...sight, id: newId(needs.clock, needs.random), identityId, at }))
  await tx.insertInto('depositSight').values(rows).execute()
}
