import { joinFirst, transact, type Tx } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import type { StepUpRedeemed } from '../../kernel/http/step-up.ts'
import { activePerson } from '../passkeys/assert.ts'
import { stepUpUsed } from './events.ts'
import type { StepUpNeeds } from './needs.ts'
import { stepUpMismatch, stepUpNotProven } from './problems.ts'
import { endStepUp } from './prove.ts'
import { findStepUp, isProofLive, lockStepUp, over, stateOf, type StepUpRow } from './rows.ts'

/**
 * A fresh proof, for the very call that its person was shown. It is of one asker, with one token, for one act: with anything else it is worth
 * nothing, and ends. Spending binds once more, in the transaction that changes what the call is for.
 */
export async function redeemStepUp(
  needs: StepUpNeeds,
  asked: AskedCall,
  changeId: string | null,
  id: string,
): Promise<StepUpRedeemed> {
  const found = await findStepUp(needs.db, id)
  const row = await usable(needs, found, asked)
  const bind = await needs.bindCall(asked, changeId)
  const { actSha256 } = await bind(needs.db, row.nonce)
  if (!actSha256.equals(row.actSha256)) {
    await transact(needs.db, (tx) => endStepUp(tx, needs, id, 'It was shown for something else than its person saw.'))
    throw misbound(id)
  }
  const spend = async (tx: Tx) => {
    const locked = await usable({ ...needs, db: tx }, await lockStepUp(tx, id), asked)
    const now = await bind(tx, locked.nonce)
    if (!now.actSha256.equals(locked.actSha256)) throw misbound(id)
    await markUsed(tx, needs, locked)
  }
  const writes = asked.route.operation.answer === 'json'
  return {
    // A passkey is as strong as anything that is asked for, another login only as strong as its provider said.
    shown: { id, level: row.provenBy === 'passkey' ? 'phishing-resistant' : 'mfa', innerSha256: row.innerSha256 },
    spend: async (run) => {
      if (writes) return joinFirst(needs.db, spend, run)
      await transact(needs.db, spend)
      return run()
    },
  }
}

/** Spends it: once, on whichever node. */
async function markUsed(
  tx: Tx,
  needs: Pick<StepUpNeeds, 'clock' | 'ledger'>,
  row: Pick<StepUpRow, 'id' | 'askerId' | 'personId' | 'operation' | 'actSha256'>,
): Promise<void> {
  const { id, personId, operation } = row
  const cause = await needs.ledger.record(tx, {
    event: stepUpUsed,
    actor: { id: personId, kind: 'human' },
    action: operation,
    resource: { type: 'StepUp', id },
    outcome: 'done',
    facts: { stepUpId: id, operation, actSha256: row.actSha256.toString('hex'), personId },
  })
  const { numUpdatedRows } = await tx
    .updateTable('stepUp')
    .set({ state: 'used', usedAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('state', '=', 'proven')
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw over('used')
}

async function usable(
  needs: Pick<StepUpNeeds, 'db' | 'clock'>,
  row: StepUpRow | undefined,
  { call, route }: AskedCall,
): Promise<StepUpRow> {
  const now = needs.clock.now()
  // Somebody else’s is unknown, and not forbidden.
  if (!row || row.kind !== 'call' || row.askerId !== call.caller.id) throw over('expired')
  const state = stateOf(row, now)
  if (state === 'pending') {
    throw stepUpNotProven('The person has not answered yet.', { stepUpId: row.id })
  }
  if (state !== 'proven') throw over(state)
  if (row.proofId !== call.caller.proofId || !(await isProofLive(needs.db, row.proofId, now))) throw over('expired')
  if (row.operation !== route.operation.id) throw misbound(row.id)
  await activePerson(needs.db, needs, row.personId)
  return row
}

function misbound(stepUpId: string) {
  return stepUpMismatch('This is not exactly what the person was shown. Ask them again.', { stepUpId })
}
