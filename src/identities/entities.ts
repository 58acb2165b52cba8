import type { Db } from '../kernel/db.ts'
import { linkTo, type Entity } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import { ENTITY_TYPES } from './act.ts'
import type { Identity } from './contract.ts'
import { loadIdentity } from './record.ts'
import type { Teams } from './teams.ts'

/** How an identity proved itself for one question, in the words of the policies' schema. */
export type Proof = 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey'

/** What policies know of who acts: the identity and, of a person, the teams it is in. Empty for an unknown id. */
export async function principalEntities(db: Db, teams: Teams, id: string, proof: Proof = 'token'): Promise<Entity[]> {
  const identity = await loadIdentity(db, id)
  return identity ? entitiesOfIdentity(teams, identity, proof) : []
}

/** As `principalEntities`, of a record that was loaded for this question already. */
export function entitiesOfIdentity(teams: Teams, identity: Identity, proof: Proof): Entity[] {
  // Teams are groups of people: a workload that got a name from the file is in no team.
  const parents =
    identity.kind === 'human' ? teams.teamsOf(identity.name).map((team) => ({ type: 'Team', id: team })) : []
  const { id, name, profile, tier, state, environment, ownerState } = identity
  const attributes = { id, name, profile, tier, state, environment, ownerState, proof }
  return [
    {
      type: ENTITY_TYPES[identity.kind],
      id,
      attributes: identity.kind === 'human' ? { ...attributes, isFounder: identity.isFounder } : attributes,
      parents,
    },
    ...parents.map((team) => ({ ...team, attributes: {} })),
  ]
}

/** What policies know of an identity that something is done to. */
export async function identityResource(db: Db, identity: Identity): Promise<Resource> {
  const { id, name, kind, profile, tier, state, environment, ownerState, ownerTeam, ownerId } = identity
  return {
    type: 'Identity',
    id,
    attributes: {
      id,
      name,
      kind,
      profile,
      tier,
      state,
      environment,
      ownerState,
      enrolled: await everEnrolled(db, id),
      ...(ownerTeam !== null && { ownerTeam: linkTo('Team', ownerTeam) }),
      ...(ownerState === 'attested' && ownerId !== null && { ownerId }),
      ...(ownerState === 'suggested' && ownerId !== null && { suggestedOwnerId: ownerId }),
      ...(identity.ownerProposedBy !== null && { ownerAssignedBy: identity.ownerProposedBy }),
    },
  }
}

async function everEnrolled(db: Db, identityId: string): Promise<boolean> {
  const held = await db
    .selectFrom('apiToken')
    .select('id')
    .where('identityId', '=', identityId)
    .limit(1)
    .executeTakeFirst()
  return held !== undefined
}
