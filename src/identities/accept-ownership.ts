import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { actOf } from './act.ts'
import { changeIdentity } from './change.ts'
import { ownAttestation, type Identity } from './contract.ts'
import { knownBy } from './discovered.ts'
import { ownershipAccepted } from './events.ts'
import { isBootstrap, loadIdentity, lockIdentity, wrongState, type IdentityNeeds } from './record.ts'

export type Accepted = { readonly identityId: string; readonly team: string | null; readonly evidence: string }

/**
 * A person accepts to answer for a list of identities that evidence names them for, as one act. Nobody suggested them, so who lets them do it is the
 * policies' approval, which is of exactly this list.
 */
export async function acceptOwnership(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'ledger' | 'teams'>,
  permit: Permit<'owner.attest'>,
  accepted: readonly Accepted[],
): Promise<Identity[]> {
  const person = await loadIdentity(tx, permit.subject.id)
  if (person?.kind !== 'human' || person.state !== 'active')
    throw ownAttestation('Only a person who can act accepts to be an owner.', { identityId: permit.subject.id })
  const inOrder = accepted.toSorted((a, b) => (a.identityId < b.identityId ? -1 : 1))
  const seen: { readonly identity: Identity; readonly of: Accepted }[] = []
  for (const of of inOrder) {
    const identity = await lockIdentity(tx, of.identityId)
    if (identity.kind === 'human' || identity.state === 'retired' || identity.ownerState === 'attested')
      throw wrongState(identity, `The identity ${identity.name} is not waiting for an owner.`)
    seen.push({ identity, of })
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: ownershipAccepted,
    facts: {
      ownerId: person.id,
      identityIds: inOrder.map(({ identityId }) => identityId),
      isBootstrap: await isBootstrap(tx),
    },
  })
  const owned: Identity[] = []
  for (const { identity, of } of seen) {
    const team = of.team !== null && needs.teams.has(of.team) ? of.team : identity.ownerTeam
    owned.push(
      await changeIdentity(tx, identity, cause, {
        ownerId: person.id,
        ownerTeam: team,
        ownerState: 'attested',
        ownerEvidence: of.evidence,
        ownerProposedBy: null,
        ...knownBy(person.id, identity),
      }),
    )
  }
  return owned
}
