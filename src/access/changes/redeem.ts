import { sql } from 'kysely'
import { joinFirst, transact, type Db, type Tx } from '../../kernel/db.ts'
import type { AskedCall, Redeemed } from '../../kernel/http/approval.ts'
import { notPermitted } from '../../kernel/problem.ts'
import { actorOf, subjectRef } from '../../identities/identities.ts'
import {
  isSatisfied,
  missingApprovals,
  noEvidence,
  noObligations,
  outstanding,
  permitFrom,
  stepUpOwed,
  type Evidence,
} from '../../policy/policy.ts'
import { boundChanged } from '../problems.ts'
import { aboutOf, consider, evidenceOf, type Considered } from './consider.ts'
import { changeNotApproved } from './contract.ts'
import { changeUsed, changeVoided } from './events.ts'
import { reachChange } from './fault-points.ts'
import type { ChangeNeeds } from './needs.ts'
import { approvalsOf, findRow, gateOf, lockOpen, openInput, openOf, type LockedChange } from './records.ts'
import { moveChange } from './say.ts'

/** What would run is not what was approved. Not a problem of its own: it ends the change first. */
class Fallen extends Error {
  readonly reasons: readonly string[]
  readonly boundSha256: Buffer

  constructor(reasons: readonly string[], boundSha256: Buffer) {
    super(reasons.join(' '))
    this.reasons = reasons
    this.boundSha256 = boundSha256
  }
}

/**
 * The right to run this very call, because others approved it. It is decided again, with the approvals of those who still are who they were; if
 * anything differs from what they saw, the change is void. Spending decides once more, in the transaction that changes what the call is for.
 */
export async function redeemChange(needs: ChangeNeeds, asked: AskedCall, id: string): Promise<Redeemed> {
  const { db } = needs
  const row = openOf(await findRow(db, id), needs.clock.now())
  mustBeOwn(row, asked)
  if (row.state === 'pending') throw await waiting(db, needs, row)
  const { salt } = openInput(needs.seal, row)
  const about = await aboutOf(asked)
  const considering = { asked, about, row, salt }
  return voidingIfFallen(needs, asked, id, async () => {
    const { considered, approvals } = await stillHolds(db, needs, considering)
    const stepUp = asked.call.stepUp?.level
    const outcome = permitFrom(considered.decision, evidenceOf(considered, approvals, considered.facts, stepUp))
    if (outcome.kind !== 'permit') {
      throw new Fallen(outcome.kind === 'owed' ? outcome.owed : outcome.reasons, considered.boundSha256)
    }
    const use = (tx: Tx) => useChange(tx, needs, considering)
    const writes = asked.route.operation.answer === 'json'
    return {
      permit: outcome.permit,
      resource: considered.resource,
      spend: (run) =>
        voidingIfFallen(needs, asked, id, async () => {
          if (writes) return joinFirst(db, use, run)
          await transact(db, use)
          return run()
        }),
    }
  })
}

type Considering = {
  readonly asked: AskedCall
  readonly about: Awaited<ReturnType<typeof aboutOf>>
  readonly row: LockedChange
  readonly salt: Buffer
}

/** Decides the call again and throws `Fallen` for whatever is not as it was approved. */
async function stillHolds(
  db: Db,
  needs: ChangeNeeds,
  { asked, about, row, salt }: Considering,
): Promise<{ considered: Considered; approvals: Awaited<ReturnType<typeof approvalsOf>> }> {
  // What was simulated is of the moment it was asked for; that it is still about what decides now, the preview holds.
  const { reason, simulation } = row
  const considered = await consider(db, needs, asked, about, { reason, simulation, salt })
  const { decision, owed, facts, boundSha256 } = considered
  const reasons = decision.decision ? [...owed] : [...decision.reasons]
  if (reasons.length === 0 && !boundSha256.equals(row.boundSha256)) {
    reasons.push('The call, what it is about, or a policy that decides it is not as it was when it was approved.')
  }
  const approvals = await approvalsOf(db, needs.teams, row.id)
  if (reasons.length === 0 && !isSatisfied(decision.obligations.approval, approvals, facts)) {
    const missing = missingApprovals(decision.obligations.approval, approvals, facts)
    reasons.push(`Those who approved it do not suffice any more: ${missing.join('; or ')}.`)
  }
  if (reasons.length > 0) throw new Fallen(reasons, boundSha256)
  holdStepUp(considered, asked)
  return { considered, approvals }
}

/** What others approved still owes what its own person has to show; the change stays as it is until they do. */
function holdStepUp({ decision }: Considered, { call }: AskedCall): void {
  const { stepUp } = decision.obligations
  const shown: Evidence = { ...noEvidence, stepUp: call.stepUp?.level ?? 'none' }
  if (outstanding({ ...noObligations, stepUp }, shown).length === 0) return
  throw stepUpOwed(decision.action, stepUp, decision.id)
}

/** Spends the approval: once, under locks, with everything decided again. */
async function useChange(tx: Tx, needs: ChangeNeeds, considering: Considering): Promise<void> {
  const { asked } = considering
  const row = await lockOpen(tx, needs, considering.row.id)
  mustBeOwn(row, asked)
  if (row.state === 'pending') throw await waiting(tx, needs, row)
  const approverIds = tx
    .selectFrom('changeApproval')
    .select('approverId')
    .where('changeId', '=', row.id)
    .where('verdict', '=', 'approve')
  // Whoever suspends one of them waits, and finds the change used.
  await sql`select from identity where id in (${approverIds}) or id = ${row.requesterId} order by id for share`.execute(
    tx,
  )
  const { approvals } = await stillHolds(tx, needs, { ...considering, row })
  const { operation } = asked.route
  const cause = await needs.ledger.record(tx, {
    event: changeUsed,
    actor: actorOf(subjectRef(asked.call.caller)),
    action: operation.id,
    resource: { type: 'Change', id: row.id },
    outcome: 'done',
    facts: {
      operation: operation.id,
      resourceType: row.resourceType,
      resourceId: row.resourceId,
      boundSha256: row.boundSha256.toString('hex'),
      approvers: approvals.map((approval) => approval.id),
    },
  })
  await moveChange(tx, needs, { id: row.id, from: 'approved', to: 'used', refusal: null, cause })
  await reachChange('change.used')
}

/** Runs `work`; when it finds the change fallen, that is stored and said. */
async function voidingIfFallen<T>(
  needs: ChangeNeeds,
  asked: AskedCall,
  id: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Fallen)) throw error
    await transact(needs.db, (tx) => voidChange(tx, needs, asked, id, error))
    throw boundChanged(`The change is void and has to be asked for again. ${error.message}`, {
      requestId: id,
      state: 'void',
    })
  }
}

async function voidChange(tx: Tx, needs: ChangeNeeds, asked: AskedCall, id: string, fallen: Fallen): Promise<void> {
  const { state } = await lockOpen(tx, needs, id)
  const { reasons, boundSha256 } = fallen
  const cause = await needs.ledger.record(tx, {
    event: changeVoided,
    actor: actorOf(subjectRef(asked.call.caller)),
    action: asked.route.operation.id,
    resource: { type: 'Change', id },
    outcome: 'refused',
    facts: { reasons: [...reasons], boundSha256: boundSha256.toString('hex') },
  })
  await moveChange(tx, needs, { id, from: state, to: 'void', refusal: reasons.join(' ').slice(0, 2000), cause })
}

/** An approval is of one identity's call: in anybody else's hands it is nothing. */
function mustBeOwn(row: LockedChange, { call, route }: AskedCall): void {
  if (row.requesterId === call.caller.id) return
  const reasons = ['A change is applied by who asked for it.']
  throw notPermitted(`You may not do ${route.operation.id} by this change. ${reasons.join(' ')}`, {
    action: route.operation.id,
    reasons,
    decisionId: '',
  })
}

async function waiting(db: Db, needs: ChangeNeeds, row: LockedChange) {
  const { gates, facts } = await gateOf(db, row)
  const missing = missingApprovals(gates, await approvalsOf(db, needs.teams, row.id), facts)
  return changeNotApproved(`The change waits for approval: ${missing.join('; or ')}.`, { changeId: row.id, missing })
}
