import { sql, type RawBuilder } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { linkTo, type Entity } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import { soon, type Soon } from '../kernel/soon.ts'
import { ENTITY_TYPES } from './act.ts'
import type { Identity } from './contract.ts'
import { identityFactsIn, type IdentityFacts, type Standing } from './facts.ts'
import type { Teams } from './teams.ts'

/** How an identity proved itself for one question, in the words of the policies' schema. */
export type Proof = 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey'

/** What policies know of who acts: the identity and, of a person, the teams it is in. Empty for an unknown id. */
export async function principalEntities(
  db: Db,
  teams: Teams,
  id: string,
  proof: Proof = 'token',
): Promise<readonly Entity[]> {
  return principalEntitiesBy(identityFactsIn(db), teams, id, proof)
}

/** As `principalEntities`, by facts that a node may remember. */
export function principalEntitiesBy(
  facts: Pick<IdentityFacts, 'identity'>,
  teams: Teams,
  id: string,
  proof: Proof,
): Soon<readonly Entity[]> {
  return soon(facts.identity(id), (identity) => (identity ? entitiesOfIdentity(teams, identity, proof) : NOBODY))
}

const NOBODY: readonly Entity[] = Object.freeze([])

type Made = { readonly teamsSha256: string; readonly byProof: Map<Proof, readonly Entity[]> }

/** Made once for a record as it was read, and for the teams as they are: the same list each time, which nobody changes. */
const made = new WeakMap<Standing, Made>()

/** As `principalEntities`, of a record that was loaded for this question already. */
export function entitiesOfIdentity(teams: Teams, identity: Standing, proof: Proof): readonly Entity[] {
  const before = made.get(identity)
  const now = before?.teamsSha256 === teams.sha256 ? before : { teamsSha256: teams.sha256, byProof: new Map() }
  if (now !== before) made.set(identity, now)
  const known = now.byProof.get(proof)
  if (known) return known
  const entities = makeEntities(teams, identity, proof)
  now.byProof.set(proof, entities)
  return entities
}

function makeEntities(teams: Teams, identity: Standing, proof: Proof): readonly Entity[] {
  // Teams are groups of people: a workload that got a name from the file is in no team.
  const parents =
    identity.kind === 'human' ? teams.teamsOf(identity.name).map((team) => ({ type: 'Team', id: team })) : []
  const { id, name, profile, tier, state, environment, ownerState } = identity
  const attributes = { id, name, profile, tier, state, environment, ownerState, proof }
  const entities: Entity[] = [
    {
      type: ENTITY_TYPES[identity.kind],
      id,
      attributes: Object.freeze(
        identity.kind === 'human' ? { ...attributes, isFounder: identity.isFounder } : attributes,
      ),
      parents: Object.freeze(parents),
    },
    ...parents.map((team) => ({ ...team, attributes: Object.freeze({}) })),
  ]
  return Object.freeze(entities.map((entity) => Object.freeze(entity)))
}

/** What policies know of an identity that something is done to. */
export async function identityResource(db: Db, identity: Identity): Promise<Resource> {
  return identityResourceOf(identity, await everEnrolled(db, identity.id))
}

/** What of it policies know. */
type Described = Pick<
  Identity,
  | 'id'
  | 'name'
  | 'kind'
  | 'profile'
  | 'tier'
  | 'state'
  | 'environment'
  | 'ownerState'
  | 'ownerTeam'
  | 'ownerId'
  | 'ownerProposedBy'
>

/** As `identityResource`, where it is known whether the identity ever had a way to prove itself. */
export function identityResourceOf(identity: Described, enrolled: boolean): Resource {
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
      enrolled,
      ...(ownerTeam !== null && { ownerTeam: linkTo('Team', ownerTeam) }),
      ...(ownerState === 'attested' && ownerId !== null && { ownerId }),
      ...(ownerState === 'suggested' && ownerId !== null && { suggestedOwnerId: ownerId }),
      ...(identity.ownerProposedBy !== null && { ownerAssignedBy: identity.ownerProposedBy }),
    },
  }
}

async function everEnrolled(db: Db, identityId: string): Promise<boolean> {
  const { rows } = await sql<{
    enrolled: boolean
  }>`select ${enrolledSql(sql`${identityId}::uuid`)} as enrolled`.execute(db)
  return rows[0]?.enrolled === true
}

/** Whether it ever had a way to prove itself. */
export function enrolledSql(id: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(exists (select from api_token t where t.identity_id = ${id})
    or exists (select from passkey p where p.identity_id = ${id})
    or exists (select from login_link l where l.identity_id = ${id}))`
}
