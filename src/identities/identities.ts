/**
 * The shared record: everything that acts, who answers for it, and how it proves itself to the API.
 *
 * An identity goes discovered → registered → active ⇄ suspended → retired; the database refuses every other way. An owner is
 * suggested by one person and attested by the one who is named; when an owner leaves, what they owned is lost, in the same
 * transaction. Tokens prove identity only and stand as hashes. What hangs on an identity (grants) is ended by a hook.
 * A human identity with an owner is a further identity of that person, so neither decides for the other.
 */
export { actOf, actorOf, ENTITY_TYPES, subjectRef } from './act.ts'
export { giveAttestedToken } from './attested.ts'
export { isAccountedFor } from './change.ts'
export { authenticate, callerBy, tokenRowOf } from './bearer.ts'
export { ensureFounderEnrolment, enrolIdentity, openEnrolment, redeemEnrolment, spendEnrolment } from './enrolment.ts'
export {
  entitiesOfIdentity,
  identityResource,
  identityResourceOf,
  principalEntities,
  principalEntitiesBy,
  type Proof,
} from './entities.ts'
export { identityEvents } from './events.ts'
export { eraseIdentity } from './erase.ts'
export { identityFactsIn, identityFactsOf, type IdentityFacts } from './facts.ts'
export { holdingIdentities } from './held.ts'
export {
  activateIdentity,
  registerIdentity,
  resumeIdentity,
  retireIdentity,
  suspendExpired,
  suspendIdentity,
  updateIdentity,
} from './lifecycle.ts'
export { recordedIdentitiesOf, type Recorded, type RecordedIdentities } from './recorded.ts'
export { retierIdentity } from './retier.ts'
export { mayKnowTokensOf } from './tokens.ts'
export {
  acceptService,
  endDiscovered,
  enterDiscovered,
  enterDiscoveredBy,
  isProfileOf,
  type Discovered,
  type Entering,
} from './discovered.ts'
export { acceptOwnership, type Accepted } from './accept-ownership.ts'
export { assignOwner, attestOwner, loseOwner } from './ownership.ts'
export {
  findIdentity,
  isBootstrap,
  listIdentities,
  loadIdentity,
  loadIdentityByName,
  lockIdentity,
  tiedPeople,
  unknownIdentity,
  type IdentityNeeds,
  type OnIdentityEnded,
} from './record.ts'
export { identityOpenRoutes, identityRoutes, type CertifyToken } from './routes.ts'
export {
  fedTeams,
  followsIn,
  openTeams,
  readTeams,
  readTeamsText,
  recordTeams,
  teamsFrom,
  type Follow,
  type Teams,
  type TeamsDocument,
  type TeamsMap,
} from './teams.ts'
export { joining, teamsDifference } from './teams-difference.ts'
export { liveTeams, teamsAsOf, type LiveTeams } from './teams-live.ts'
export {
  abandonOwned,
  endIdentity,
  enterPerson,
  letActAgain,
  renamePerson,
  stopIdentity,
  unattest,
  unattestOwned,
  type IdentityAct,
} from './stopping.ts'
export { endTokens, issueToken, listTokens, revokeToken, tokenResource } from './tokens.ts'
