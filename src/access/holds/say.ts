import type { Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { actOf } from '../../identities/identities.ts'
import { isSatisfied } from '../../policy/policy.ts'
import { countedOf, personOf } from '../approvers.ts'
import { knownIdentity } from '../chain.ts'
import type { AccessNeeds } from '../needs.ts'
import { alreadyApproved, selfApproval } from '../problems.ts'
import type { Identity } from '../../identities/contract.ts'
import { holdRefused, holdReleased } from './events.ts'
import { reachHold } from './fault-points.ts'
import { moveHold } from './hold.ts'
import { gateOf, isOpen, lockHold, mustLoadHold, over, releasesOf, type LockedHold } from './records.ts'
import { holdBoundChanged, type Hold } from './schemas.ts'

/**
 * One person lets exactly what was shown run (rule 8). The last one that the gates need makes it usable, once, by the session that waits,
 * and by nothing else.
 */
export async function releaseHold(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'hold.release'>,
  input: { readonly boundSha256: string; readonly comment?: string | undefined },
): Promise<Hold> {
  const hold = await lockHold(tx, permit.resource.id)
  const { id, state } = hold
  if (state !== 'held') throw over(id, state)
  if (!isOpen(hold, needs.clock.now())) throw over(id, 'expired')
  if (input.boundSha256 !== hold.boundSha256.toString('hex')) {
    throw holdBoundChanged('You looked at something else than what is held. Read it again.', { holdId: id })
  }
  const approver = await mayDecide(tx, hold, permit)
  const { gates, facts } = await gateOf(tx, hold)
  const own = countedOf(needs.teams, [{ ...approver, at: needs.clock.now() }])
  const isEnough = isSatisfied(gates, [...(await releasesOf(tx, needs.teams, id)), ...own], facts)
  const comment = input.comment ?? null
  const cause = await needs.ledger.record(tx, {
    event: holdReleased,
    ...actOf(permit),
    grantId: hold.grantId,
    facts: { boundSha256: input.boundSha256, isEnough, comment },
  })
  await speak(tx, needs, { hold, approverId: approver.id, verdict: 'release', comment, cause })
  if (isEnough) await moveHold(tx, needs, { id, from: 'held', to: 'released', refusal: null, cause })
  await reachHold('hold.released')
  return mustLoadHold(tx, id)
}

/** One person says no, and the operation fails. A release that was not spent yet falls too. */
export async function refuseHold(
  tx: Tx,
  needs: AccessNeeds,
  permit: Permit<'hold.refuse'>,
  input: { readonly comment?: string | undefined },
): Promise<Hold> {
  const hold = await lockHold(tx, permit.resource.id)
  const { id, state } = hold
  if (state !== 'held' && state !== 'released') throw over(id, state)
  if (!isOpen(hold, needs.clock.now())) throw over(id, 'expired')
  const approver = await mayDecide(tx, hold, permit)
  const comment = input.comment ?? null
  const boundSha256 = hold.boundSha256.toString('hex')
  const cause = await needs.ledger.record(tx, {
    event: holdRefused,
    ...actOf(permit),
    grantId: hold.grantId,
    facts: { boundSha256, comment },
  })
  await speak(tx, needs, { hold, approverId: approver.id, verdict: 'refuse', comment, cause })
  const refusal = comment === null ? 'A person refused it.' : `A person refused it: ${comment}`
  await moveHold(tx, needs, { id, from: state, to: 'refused', refusal, cause })
  return mustLoadHold(tx, id)
}

/** Core 6: a distinct person, not tied to who acts, in any of their identities. */
async function mayDecide(tx: Tx, hold: LockedHold, permit: Permit): Promise<Identity> {
  const approver = await knownIdentity(tx, permit.subject.id)
  const { facts } = await gateOf(tx, hold)
  const person = personOf(approver)
  if (approver.kind !== 'human' || facts.excluded.has(approver.id) || facts.excluded.has(person)) {
    throw selfApproval(
      'You act in this session, asked for it, own or sponsor who acts in it, or set it off. Somebody else decides.',
      { requestId: hold.grant.requestId },
    )
  }
  const spoken = await tx
    .selectFrom('holdApproval')
    .innerJoin('identity', 'identity.id', 'holdApproval.approverId')
    .select(['identity.id', 'identity.ownerId'])
    .where('holdApproval.holdId', '=', hold.id)
    .execute()
  if (spoken.some((each) => personOf(each) === person)) {
    throw alreadyApproved('You have spoken on this operation already.', { requestId: hold.grant.requestId })
  }
  return approver
}

async function speak(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock'>,
  said: {
    readonly hold: LockedHold
    readonly approverId: string
    readonly verdict: 'release' | 'refuse'
    readonly comment: string | null
    readonly cause: number
  },
): Promise<void> {
  const { hold, approverId, verdict, comment, cause } = said
  const { id: holdId, boundSha256 } = hold
  const at = needs.clock.now()
  await tx.insertInto('holdApproval').values({ holdId, approverId, verdict, boundSha256, comment, at, cause }).execute()
}
