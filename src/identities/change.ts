import type { Updateable } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { IdentityTable } from '../kernel/schema.gen.ts'
import type { Identity } from './contract.ts'
import { findIdentity, IDENTITY_COLUMNS, wrongState, type IdentityNeeds } from './record.ts'

/** Writes what a command decided on the very version it looked at. */
export async function changeIdentity(
  tx: Tx,
  seen: Identity,
  cause: number,
  change: Omit<Updateable<IdentityTable>, 'id' | 'version' | 'cause'>,
): Promise<Identity> {
  const changed = await tx
    .updateTable('identity')
    .set({ ...change, version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '=', seen.state)
    .returning(IDENTITY_COLUMNS)
    .executeTakeFirst()
  if (!changed) throw wrongState(seen, 'The identity changed meanwhile; look again.')
  return changed
}

/** A person who may answer for something: human, and neither suspended nor retired. */
export async function accountablePerson(tx: Tx, nameOrId: string, field: string): Promise<Identity> {
  const person = await findIdentity(tx, nameOrId)
  if (person.kind !== 'human') throw invalid(field, 'only a person answers for an identity')
  if (person.state !== 'registered' && person.state !== 'active') {
    throw invalid(field, `this person is ${person.state}`)
  }
  return person
}

export function mustBeTeam(needs: Pick<IdentityNeeds, 'teams'>, team: string | undefined): void {
  if (team !== undefined && !needs.teams.has(team)) throw invalid('ownerTeam', 'there is no such team')
}

/** Rule: what is not a person acts only while somebody answers for it. */
export function isAccountedFor(identity: Pick<Identity, 'kind' | 'ownerState'>): boolean {
  return identity.kind === 'human' || identity.ownerState === 'suggested' || identity.ownerState === 'attested'
}
