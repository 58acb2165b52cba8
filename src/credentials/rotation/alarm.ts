import type { Tx } from '../../kernel/db.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Claimed } from './claim.ts'
import { rotationAlarm } from './events.ts'
import type { RotationNeeds } from './needs.ts'

/** Issued that often without anybody taking it up: somebody must look. */
const ALARMING = 2

/**
 * Counts, of this login, the rotations in a row up to this one whose secret the target was told and nobody was seen with. Two are an alarm, not a
 * retry: security is told at once, and stays told until the rotation is over.
 */
export async function alarmIfUnadopted(
  tx: Tx,
  needs: Pick<RotationNeeds, 'ledger' | 'clock'>,
  at: Claimed,
): Promise<void> {
  const rows = await tx
    .selectFrom('rotation')
    .select(['id', 'adoptedAt', 'alarmedAt', 'state'])
    .where('targetId', '=', at.targetId)
    .where('accountId', at.accountId === null ? 'is' : '=', at.accountId)
    .where((either) => either.or([either('issuedAt', 'is not', null), either('id', '=', at.id)]))
    .orderBy('id', 'desc')
    .limit(ALARMING)
    .execute()
  if (rows.length < ALARMING || rows.some((row) => row.adoptedAt !== null || row.state === 'superseded')) return
  if (rows.some((row) => row.id === at.id && row.alarmedAt !== null)) return
  const cause = await needs.ledger.record(tx, {
    event: rotationAlarm,
    actor: SYSTEM,
    resource: { type: 'Rotation', id: at.id },
    outcome: 'failed',
    facts: { principal: at.principal, issued: rows.length },
  })
  await tx
    .updateTable('rotation')
    .set({ alarmedAt: needs.clock.now(), escalation: 'security', cause })
    .where('id', '=', at.id)
    .execute()
}
