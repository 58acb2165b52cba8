import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { actOf } from '../../identities/identities.ts'
import type { AccessNeeds } from '../needs.ts'
import { signalOver, signalWithdrawn, type Signal } from './contract.ts'
import { mustBeAboutAnother } from './receive.ts'
import { findSignal } from './records.ts'

/** Takes a signal out of force. What it ended stays ended. Throws `signalOver`, and `ownSignal` to who it is about. */
export async function withdrawSignal(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock' | 'ledger'>,
  permit: Permit<'signal.withdraw'>,
  { reason }: { readonly reason: string },
): Promise<Signal> {
  const { id } = permit.resource
  const seen = await findSignal(tx, id)
  await mustBeAboutAnother(tx, permit.subject.id, seen)
  const locked = await tx
    .selectFrom('signal')
    .select(['id', 'withdrawnAt'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  if (locked.withdrawnAt !== null) throw signalOver('The signal was withdrawn before.', { signalId: id })
  const withdrawnAt = needs.clock.now()
  const { senderId, type, identityId, targetId } = seen
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: signalWithdrawn,
    ...(identityId !== null && { subjectId: identityId }),
    facts: { signalId: id, senderId, type, identityId, targetId, withdrawnAt, reason },
  })
  await tx
    .updateTable('signal')
    .set((row) => ({ withdrawnAt, withdrawnById: permit.subject.id, version: row('version', '+', 1), cause }))
    .where('id', '=', id)
    .execute()
  return findSignal(tx, id)
}
