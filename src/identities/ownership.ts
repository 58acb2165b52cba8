import type { Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { Permit } from '../kernel/permit.ts'
import { actOf } from './act.ts'
import { accountablePerson, changeIdentity, mustBeTeam } from './change.ts'
import { ownAttestation, type AssignOwner, type Identity } from './contract.ts'
import { knownBy } from './discovered.ts'
import { ownerAttested, ownerLost, ownerSuggested } from './events.ts'
import { isBootstrap, loadIdentity, lockIdentity, tiedPeople, wrongState, type IdentityNeeds } from './record.ts'

/** Suggests an owner. Nothing is attested by it, also not what was before. */
export async function assignOwner(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.assign-owner'>,
  input: AssignOwner,
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state === 'retired') throw wrongState(seen, 'A retired identity has no owner any more.')
  mustBeTeam(needs, input.ownerTeam)
  const owner = await accountablePerson(tx, input.owner, 'owner')
  if (owner.id === seen.id) throw invalid('owner', 'nothing owns itself')
  const ownerTeam = input.ownerTeam ?? seen.ownerTeam
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: ownerSuggested,
    facts: { ownerTeam, ownerId: owner.id, evidence: input.evidence },
  })
  return changeIdentity(tx, seen, cause, {
    ownerTeam,
    ownerId: owner.id,
    ownerState: 'suggested',
    ownerEvidence: input.evidence,
    ownerProposedBy: permit.subject.id,
  })
}

/**
 * The person who is named accepts. From the second person on (core 7) it must be somebody else than who named them, in any of
 * that person's identities.
 */
export async function attestOwner(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.attest-owner'>,
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state === 'retired') throw wrongState(seen, 'A retired identity has no owner any more.')
  if (seen.ownerState !== 'suggested') throw wrongState(seen, 'No owner is suggested for this identity.')
  const own = { identityId: seen.id }
  if (seen.ownerId !== permit.subject.id) {
    throw ownAttestation('Only the person who is named as the owner accepts it.', own)
  }
  const person = await loadIdentity(tx, permit.subject.id)
  if (person?.kind !== 'human' || person.state !== 'active') {
    throw ownAttestation('Only a person who can act accepts to be an owner.', own)
  }
  const isAlone = await isBootstrap(tx)
  const proposer = seen.ownerProposedBy
  if (!isAlone && (proposer === null || (await isSamePerson(tx, proposer, person.id)))) {
    throw ownAttestation('Who suggested the owner does not accept it too: let another person suggest it.', own)
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: ownerAttested,
    facts: { ownerId: person.id, proposedBy: proposer, isBootstrap: isAlone },
  })
  return changeIdentity(tx, seen, cause, { ownerState: 'attested', ...knownBy(person.id, seen) })
}

async function isSamePerson(tx: Tx, proposerId: string, personId: string): Promise<boolean> {
  return proposerId === personId || (await tiedPeople(tx, proposerId)).has(personId)
}

/** Records that nobody answers for it any more, and ends what hangs on it. The name of the last owner stays as evidence. */
export async function loseOwner(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.lose-owner'>,
  input: { readonly reason: string },
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state === 'retired') throw wrongState(seen, 'A retired identity has no owner any more.')
  if (seen.ownerState !== 'suggested' && seen.ownerState !== 'attested') {
    throw wrongState(seen, 'This identity has no owner to lose.')
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: ownerLost,
    subjectId: seen.id,
    facts: { ownerId: seen.ownerId, reason: input.reason },
  })
  const changed = await changeIdentity(tx, seen, cause, { ownerState: 'lost' })
  await needs.onIdentityEnded(tx, { identityId: seen.id, reason: 'owner-lost', cause })
  return changed
}
