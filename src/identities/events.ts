import { z } from 'zod'
import { event, personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { Environment, IdentityKind, IdentityState, OwnerState, Profile, Reason, Tier } from './contract.ts'

const NullableId = Id.nullable()
const Text = shown(z.string())

const Traits = shown(z.array(z.string().max(32)).max(8))

export const identityRegistered = event('identity.registered', 'An identity was entered into the shared record.', {
  name: Slug,
  kind: IdentityKind,
  profile: Profile,
  environment: Environment,
  tier: Tier,
  traits: Traits,
  ownerTeam: Slug.nullable(),
  suggestedOwnerId: NullableId,
  sponsorId: NullableId,
  purpose: Text.nullable(),
  displayName: personal(z.string()).nullable(),
})
export const identityDiscovered = event(
  'identity.discovered',
  'An identity was entered of something that was found and that nobody claimed.',
  {
    thingId: Id.describe('the principal, or the definition of its instances'),
    name: Slug,
    kind: IdentityKind,
    profile: Profile,
    environment: Environment,
    tier: Tier,
    traits: Traits,
    evidence: shown(z.array(z.string()).max(50)),
  },
)
export const identityUpdated = event('identity.updated', 'What is recorded of an identity changed.', {
  fields: shown(z.array(z.string()).max(20)),
  environment: Environment,
  tier: Tier,
  traits: Traits,
  ownerState: OwnerState,
  expiresAt: Instant.nullable(),
  displayName: personal(z.string()).nullable(),
})
export const identityRetiered = event('identity.retiered', 'The reach of an identity comes to another tier.', {
  from: Tier,
  tier: Tier,
  tierSet: Tier,
  tierReached: Tier.nullable(),
  isComplete: shown(z.boolean()).describe('whether everything that could show more was looked at'),
  isInScope: shown(z.boolean()).describe('whether just-in-time access is asked of it'),
  why: shown(z.array(z.string()).max(20)),
})
export const identityActivated = event('identity.activated', 'A registered identity may act.', { from: IdentityState })
export const identitySuspended = event('identity.suspended', 'An identity was stopped.', {
  from: IdentityState,
  isExpired: shown(z.boolean()),
  reason: Reason,
})
export const identityResumed = event('identity.resumed', 'A suspended identity may act again.', { from: IdentityState })
export const identityRetired = event('identity.retired', 'An identity ended for good.', {
  from: IdentityState,
  lostOwnerOf: shown(z.array(z.uuid())),
  suspendedAgents: shown(z.array(z.uuid())),
  reason: Reason,
})
export const ownerSuggested = event('identity.owner-suggested', 'An owner was suggested for an identity.', {
  ownerTeam: Slug.nullable(),
  ownerId: Id,
  evidence: Text,
})
export const ownerAttested = event('identity.owner-attested', 'A person accepted to answer for an identity.', {
  ownerId: Id,
  proposedBy: NullableId,
  isBootstrap: shown(z.boolean()),
})
export const ownershipAccepted = event(
  'identity.ownership-accepted',
  'A person accepted to answer for a list of identities, on evidence.',
  {
    ownerId: Id,
    identityIds: shown(z.array(z.uuid()).max(500)),
    isBootstrap: shown(z.boolean()),
  },
)
export const ownerLost = event('identity.owner-lost', 'Nobody answers for an identity any more.', {
  ownerId: NullableId,
  reason: Reason,
})
export const serviceAccepted = event(
  'identity.service-accepted',
  'Who answers for an identity said which business service it belongs to.',
  { service: Text, previous: Text.nullable(), evidence: Text },
)
export const ownerUnattested = event('identity.owner-unattested', 'What was attested has to be attested again.', {
  ownerId: NullableId,
  evidence: Text,
})
export const identityErased = event('identity.erased', 'The key of a person was destroyed.', { reason: Reason })
export const enrolmentCreated = event('enrolment.created', 'A one-time link was made for an identity.', {
  enrolmentId: Id,
  expiresAt: Instant,
  needsKey: shown(z.boolean()),
})
export const founderEnrolmentCreated = event('enrolment.founder-created', 'A one-time link was made for the founder.', {
  enrolmentId: Id,
  expiresAt: Instant,
})
export const enrolmentRedeemed = event('enrolment.redeemed', 'A one-time link became a credential.', {
  enrolmentId: Id,
  tokenId: Id.nullable(),
  expiresAt: Instant.nullable(),
  becameA: shown(z.enum(['token', 'passkey', 'login-link'])),
  isFounder: shown(z.boolean()),
  isActivated: shown(z.boolean()),
  name: Slug,
  displayName: personal(z.string()).nullable(),
})
export const tokenIssued = event('token.issued', 'A token was issued for an identity.', {
  tokenId: Id,
  label: Text,
  expiresAt: Instant,
  keySha256: Text.nullable().describe('of the public key it is bound to'),
})
export const tokenRevoked = event('token.revoked', 'A token ended.', { tokenId: Id, identityId: Id })
export const teamsLoaded = event('teams.loaded', 'The file of teams was read and differs from the one before.', {
  sha256: Text,
  teams: shown(z.array(z.string())),
})

export const identityEvents = [
  identityRegistered,
  identityDiscovered,
  identityUpdated,
  identityRetiered,
  identityActivated,
  identitySuspended,
  identityResumed,
  identityRetired,
  ownerSuggested,
  ownershipAccepted,
  ownerAttested,
  ownerLost,
  serviceAccepted,
  ownerUnattested,
  identityErased,
  enrolmentCreated,
  founderEnrolmentCreated,
  enrolmentRedeemed,
  tokenIssued,
  tokenRevoked,
  teamsLoaded,
]
