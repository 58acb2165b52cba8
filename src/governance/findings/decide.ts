import { actOf } from '../../identities/identities.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import type { FindingNeeds } from './apply.ts'
import type { AcceptFinding, Finding } from './contract.ts'
import { findingAccepted, findingReopened } from './events.ts'
import { mustLoad } from './lists.ts'
import { oneFinding, severityAt } from './records.ts'

const DAY_SECONDS = 86_400

/** A person takes it as it is: so grave, for a reason, until an instant. Growing graver reopens it. */
export async function acceptFinding(
  tx: Tx,
  needs: FindingNeeds,
  permit: Permit<'finding.accept'>,
  { reason, days }: AcceptFinding,
): Promise<Finding> {
  const seen = await mustLoad(tx, permit.resource.id)
  const { rule, severity } = seen
  const acceptedBefore = secondsAfter(needs.clock.now(), days * DAY_SECONDS)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: findingAccepted,
    facts: { rule, severity: severityAt(severity), reason, before: acceptedBefore },
  })
  const row = await tx
    .updateTable('finding')
    .set((is) => ({
      state: 'accepted',
      reopenedBecause: null,
      acceptedById: permit.subject.id,
      acceptedBecause: reason,
      acceptedBefore,
      acceptedSeverity: severity,
      cause,
      version: is('version', '+', 1),
    }))
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', 'in', ['open', 'reopened'])
    .returningAll()
    .executeTakeFirst()
  if (!row) throw wrongState(seen, 'Only what is open can be accepted, as it was read.')
  return oneFinding(tx, row)
}

/** Ends an acceptance before its time. */
export async function reopenFinding(
  tx: Tx,
  needs: FindingNeeds,
  permit: Permit<'finding.reopen'>,
  { reason }: { readonly reason: string },
): Promise<Finding> {
  const seen = await mustLoad(tx, permit.resource.id)
  const { rule, severity } = seen
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: findingReopened,
    facts: { rule, severity: severityAt(severity), because: reason },
  })
  const row = await tx
    .updateTable('finding')
    .set((is) => ({
      state: 'reopened',
      reopenedBecause: reason,
      acceptedById: null,
      acceptedBecause: null,
      acceptedBefore: null,
      acceptedSeverity: null,
      cause,
      version: is('version', '+', 1),
    }))
    .where('id', '=', seen.id)
    .where('state', '=', 'accepted')
    .returningAll()
    .executeTakeFirst()
  if (!row) throw wrongState(seen, 'Only what is accepted can be reopened.')
  return oneFinding(tx, row)
}

function wrongState({ id, state }: Pick<Finding, 'id' | 'state'>, detail: string) {
  return conflict(detail, { type: 'Finding', id, state })
}
