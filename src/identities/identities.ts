/**
 * The shared record: everything that acts, who answers for it, and how it proves itself to the API.
 *
 * An identity goes discovered → registered → active ⇄ suspended → retired; the database refuses every other way. An owner is
 * suggested by one person and attested by the one who is named; when an owner leaves, what they owned is lost, in the same
 * transaction. Tokens prove identity only and stand as hashes. What hangs on an identity (grants) is ended by a hook.
 */
export { actOf, actorOf, ENTITY_TYPES, subjectRef } from './act.ts'
export { identityResource, principalEntities, type Proof } from './entities.ts'
export {
  findIdentity,
  isBootstrap,
  listIdentities,
  loadIdentity,
  loadIdentityByName,
  lockIdentity,
  tiedPeople,
  type IdentityNeeds,
  type OnIdentityEnded,
} from './record.ts'
export { openTeams, parseTeams, recordTeams, TeamsInvalid, type Teams, type TeamsMap } from './teams.ts'
