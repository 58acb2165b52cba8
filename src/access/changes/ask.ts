import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Tx } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import { notFound, notPermitted } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { actorOf, subjectRef } from '../../identities/identities.ts'
import { owedOf } from '../bound.ts'
import { noPossibleApprover } from '../problems.ts'
import { factsOf, policiesOf } from './bound.ts'
import { aboutOf, consider, type Considered } from './consider.ts'
import { tooManyChanges, type Change } from './contract.ts'
import { changeRequested } from './events.ts'
import { reachChange } from './fault-points.ts'
import type { ChangeNeeds } from './needs.ts'
import { loadChange, placeOf } from './records.ts'
import { shownOf } from './shown.ts'

/** A working day: who has not decided by then has gone home. */
const PENDING_SECONDS = 8 * 3600
const SALT_BYTES = 32
/** Open ones of one identity: more than its approvers will look at, and few enough to keep. */
const MOST_OPEN = 50

/**
 * Keeps a call for others to approve, instead of running it. It is decided now, as if they had: what the policies do not permit, or what nobody
 * could approve, is refused at once.
 */
export async function askChange(needs: ChangeNeeds, asked: AskedCall, reason: string): Promise<Change> {
  const salt = needs.random.bytes(SALT_BYTES)
  const about = await aboutOf(asked)
  const first = await consider(needs.db, needs, asked, about, { reason, salt, simulation: [] })
  refuseHopeless(asked, first)
  const simulation = await asked.route.simulation(asked.call)
  // Decided once more, since simulating takes a while.
  const considered = await consider(needs.db, needs, asked, about, { reason, salt, simulation })
  refuseHopeless(asked, considered)
  const id = newId(needs.clock, needs.random)
  return transact(needs.db, async (tx) => {
    await refuseMany(tx, asked.call.caller.id)
    await store(tx, needs, { id, asked, reason, salt, simulation, considered })
    await reachChange('change.stored')
    const change = await loadChange(tx, id)
    if (!change) throw notFound('There is no such change.', { type: 'Change', id })
    return change
  })
}

/** Refuses what the policies do not permit, or what nobody could approve. */
function refuseHopeless(asked: AskedCall, { decision, owed, impossible }: Considered): void {
  const action = asked.route.operation.id
  if (!decision.decision || owed.length > 0) {
    const reasons = decision.decision ? [...owed] : [...decision.reasons]
    throw notPermitted(`You may not do ${action} here. ${reasons.join(' ')}`, {
      action,
      reasons,
      decisionId: decision.id,
    })
  }
  if (impossible !== null) throw noPossibleApprover(impossible, { missing: [impossible] })
}

async function refuseMany(tx: Tx, requesterId: string): Promise<void> {
  const { count } = await tx
    .selectFrom('change')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('requesterId', '=', requesterId)
    .where('state', 'in', ['pending', 'approved'])
    .executeTakeFirstOrThrow()
  if (count < MOST_OPEN) return
  throw tooManyChanges(`You have ${count} changes open. Withdraw or apply some: reeve change list --view mine`, {
    most: MOST_OPEN,
  })
}

type Storing = {
  readonly id: string
  readonly asked: AskedCall
  readonly reason: string
  readonly salt: Buffer
  readonly simulation: readonly string[]
  readonly considered: Considered
}

async function store(tx: Tx, needs: ChangeNeeds, storing: Storing): Promise<void> {
  const { id, asked, reason, salt, simulation, considered } = storing
  const { call, wire, route } = asked
  const { decision, resource, boundSha256, facts } = considered
  const { input, hidden } = shownOf(route.operation.input, wire.input, false)
  const about = {
    operation: route.operation.id,
    resourceType: resource.type,
    resourceId: resource.id,
    params: { ...wire.params },
    reason,
  }
  const now = needs.clock.now()
  const obligations = owedOf(decision.obligations)
  const policies = policiesOf(decision)
  const cause = await needs.ledger.record(tx, {
    event: changeRequested,
    actor: actorOf(subjectRef(call.caller)),
    action: route.operation.id,
    resource: { type: 'Change', id },
    decision: { id: decision.id, policyVersion: decision.policyVersion },
    outcome: 'announced',
    facts: {
      ...about,
      fields: isRecord(wire.input) ? Object.keys(wire.input).sort() : [],
      boundSha256: boundSha256.toString('hex'),
      obligations,
      policies,
      decisionId: decision.id,
      isPending: !considered.isFree,
      simulation: [...simulation],
    },
  })
  const sealed = JSON.stringify({ salt: salt.toString('hex'), ...(wire.input !== undefined && { input: wire.input }) })
  await tx
    .insertInto('change')
    .values({
      ...about,
      id,
      requesterId: call.caller.id,
      proof: call.caller.proof,
      resourceFacts: JSON.stringify(factsOf(resource)),
      params: JSON.stringify(wire.params),
      query: JSON.stringify(wire.query),
      shown: JSON.stringify(input),
      hidden: [...hidden],
      preview: [...considered.preview],
      simulation: [...simulation],
      sealedInput: needs.seal.seal(new Secret(sealed), placeOf(id)),
      obligations: JSON.stringify(obligations),
      policies: JSON.stringify(policies),
      policyVersion: decision.policyVersion,
      approverTeams: [...considered.approverTeams],
      ownerOfTarget: facts.ownerOfTarget,
      ownerOfSubject: facts.ownerOfSubject,
      tiedIds: [...considered.tiedIds],
      boundSha256,
      state: considered.isFree ? 'approved' : 'pending',
      refusal: null,
      createdAt: now,
      expiresAt: secondsAfter(now, PENDING_SECONDS),
      decidedAt: considered.isFree ? now : null,
      usedAt: null,
      cause,
    })
    .execute()
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
