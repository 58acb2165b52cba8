import { z } from 'zod'
import { personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, nameTaken, notFound, problem } from '../kernel/problem.ts'

export { AccessDetails } from './access-details.ts'

const IDENTITY_KINDS = ['human', 'machine', 'workload', 'agent'] as const
const PROFILES = [
  'person',
  'service',
  'pipeline',
  'integration',
  'device',
  'agent',
  'break-glass',
  'remediation-bot',
] as const
export const ENVIRONMENTS = ['production', 'staging', 'test', 'development'] as const
const IDENTITY_STATES = ['discovered', 'registered', 'active', 'suspended', 'retired'] as const
/** What makes an identity of a profile more dangerous than another of it. */
const TRAITS = ['interactive', 'autonomous', 'exposed', 'embedded'] as const
const OWNER_STATES = ['none', 'suggested', 'attested', 'lost'] as const

export const IdentityKind = shown(z.enum(IDENTITY_KINDS))
export const Profile = shown(z.enum(PROFILES))
export const Environment = shown(z.enum(ENVIRONMENTS))
export const IdentityState = shown(z.enum(IDENTITY_STATES))
export const Trait = shown(z.enum(TRAITS))
const Traits = shown(z.array(Trait).max(TRAITS.length)).describe(
  'interactive: people log in as it; autonomous: it decides for itself; exposed: strangers reach it; embedded: its credential is shipped',
)
export const OwnerState = shown(z.enum(OWNER_STATES))
/** 0 is the most sensitive. */
export const Tier = shown(z.int().min(0).max(3)).describe('0 is the most sensitive, 3 the least')
const Text = shown(z.string().trim().min(1).max(500))
const DisplayName = personal(z.string().trim().min(1).max(200))
/** Why somebody did it. A person writes it and may name people in it, so it is sealed as theirs. */
export const Reason = personal(z.string().trim().min(3).max(500)).describe('why, in a sentence')

/** The shared record of one thing that acts. */
export const Identity = z
  .object({
    id: Id,
    kind: IdentityKind,
    name: Slug,
    displayName: DisplayName.nullable(),
    profile: Profile,
    purpose: Text.nullable(),
    businessService: Text.nullable(),
    environment: Environment,
    tier: Tier.describe('what counts: the stricter one of tierSet and tierReached'),
    tierSet: Tier.describe('what a person said'),
    tierReached: Tier.nullable().describe('what its reach came to; null before that was seen'),
    traits: shown(z.array(z.string().max(32))),
    ownerTeam: Slug.nullable(),
    ownerId: Id.nullable(),
    ownerState: OwnerState,
    ownerEvidence: Text.nullable().describe('why this owner was suggested'),
    ownerProposedBy: Id.nullable(),
    sponsorId: Id.nullable().describe('the person who answers for an agent'),
    vendor: Slug.nullable().describe('the business partner on whose behalf it acts'),
    state: IdentityState,
    isFounder: shown(z.boolean()),
    reviewBy: Instant.nullable(),
    expiresAt: Instant.nullable(),
    createdAt: Instant,
    version: shown(z.int()),
  })
  .meta({ id: 'Identity' })
export type Identity = z.output<typeof Identity>

/** A bearer token as it may be shown: never its value, never its hash. */
export const Token = z
  .object({
    id: Id,
    identityId: Id,
    label: shown(z.string()),
    createdAt: Instant,
    expiresAt: Instant,
    revokedAt: Instant.nullable(),
  })
  .meta({ id: 'Token' })
export type Token = z.output<typeof Token>

/** The one answer that holds a token's value. */
export const IssuedToken = z
  .object({
    id: Id,
    identityId: Id,
    expiresAt: Instant,
    token: z.string().describe('shown once, kept only as a hash'),
    certificate: shown(z.string())
      .optional()
      .describe('PEM, for the key that was given: shows it in the handshake of each call'),
  })
  .meta({ id: 'IssuedToken' })
export type IssuedToken = z.output<typeof IssuedToken>

export const Enrolment = z
  .object({ id: Id, identityId: Id, expiresAt: Instant, secret: z.string().describe('shown once, works once') })
  .meta({ id: 'Enrolment' })
export type Enrolment = z.output<typeof Enrolment>

export const RegisterIdentity = z.strictObject({
  kind: IdentityKind,
  name: Slug,
  displayName: DisplayName.optional(),
  profile: Profile,
  purpose: Text.optional(),
  businessService: Text.optional(),
  environment: Environment.default('production'),
  tier: Tier.default(2),
  traits: Traits.optional(),
  ownerTeam: Slug.optional(),
  owner: Slug.optional().describe('the accountable person, by name or id; they still have to accept'),
  sponsor: Slug.optional().describe('of an agent: the person who answers for it, by name or id'),
  vendor: Slug.optional().describe('the business partner on whose behalf it acts'),
  reviewBy: Instant.optional(),
  expiresAt: Instant.optional(),
})
export type RegisterIdentity = z.output<typeof RegisterIdentity>

export const UpdateIdentity = z
  .strictObject({
    displayName: DisplayName.nullable().optional(),
    purpose: Text.nullable().optional(),
    businessService: Text.nullable().optional(),
    environment: Environment.optional(),
    tier: Tier.optional(),
    traits: Traits.optional(),
    vendor: Slug.nullable().optional(),
    reviewBy: Instant.nullable().optional(),
    expiresAt: Instant.nullable().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'say what to change')
export type UpdateIdentity = z.output<typeof UpdateIdentity>

export const AssignOwner = z.strictObject({
  ownerTeam: Slug.optional(),
  owner: Slug.describe('the accountable person, by name or id'),
  evidence: Text.describe('why this person'),
})
export type AssignOwner = z.output<typeof AssignOwner>

/** 90 days: what a bearer secret may live at most. */
const TOKEN_MAX_SECONDS = 90 * 86_400
export const IssueToken = z.strictObject({
  label: shown(z.string().trim().min(1).max(100)),
  ttlSeconds: shown(
    z
      .int()
      .min(60)
      .max(TOKEN_MAX_SECONDS)
      .default(30 * 86_400),
  ),
  publicKey: shown(z.string().min(1).max(2000))
    .optional()
    .describe(
      'P-256, as PEM: the token then works only over TLS with this key. The caller’s own where theirs is bound',
    ),
})
export type IssueToken = z.output<typeof IssueToken>

/** An enrolment link is a secret in transit, so it is short: a quarter of an hour, a day at most. */
export const EnrolIdentity = z.strictObject({
  ttlSeconds: shown(
    z
      .int()
      .min(60)
      .max(86_400)
      .default(15 * 60),
  ),
})
export type EnrolIdentity = z.output<typeof EnrolIdentity>

export const RedeemEnrolment = z.strictObject({
  secret: z.string().min(1).max(200),
  label: shown(z.string().trim().min(1).max(100).default('first token')),
  name: Slug.optional().describe('of the founder: the name to be known by'),
  displayName: DisplayName.optional(),
  publicKey: shown(z.string().min(1).max(2000))
    .optional()
    .describe('P-256, as PEM: the token then works only over TLS with this key'),
})
export type RedeemEnrolment = z.output<typeof RedeemEnrolment>

export const IdentityQuery = PageQuery.extend({
  kind: IdentityKind.optional(),
  state: IdentityState.optional(),
  ownerTeam: Slug.optional(),
  ownerState: OwnerState.optional(),
  environment: Environment.optional(),
  q: z.string().trim().min(1).max(200).optional().describe('words, or beginnings of words'),
})
export type IdentityQuery = z.output<typeof IdentityQuery>

/** One sentence for every way a link can be wrong, so that nobody learns which it was. */
export const enrolmentInvalid = problem('enrolment-invalid', 401, 'The enrolment link is not valid', {})
const about = { identityId: z.uuid() }
export const ownCredentialOnly = problem('own-credential-only', 403, 'A person gets a token only for themselves', about)
export const ownAttestation = problem(
  'own-attestation',
  403,
  'An owner is attested by who is named, not by who named',
  about,
)
export const keyNeeded = problem('key-needed', 409, 'The token has to be bound to a key', { identityId: z.uuid() })
export const ownerless = problem('ownerless', 409, 'Nobody answers for the identity', { identityId: z.uuid() })

const one = z.object({ identity: Slug.describe('name or id') })
const changes = [notFound, conflict]

function change<const Name extends string, const Verb extends string, I extends z.ZodType>(
  id: Name,
  verb: Verb,
  summary: string,
  input: I,
) {
  return operation({
    id,
    method: 'POST',
    path: `/v1/identities/:identity/${verb}`,
    summary,
    function: 'iam',
    resource: 'Identity',
    params: one,
    input,
    output: Identity,
    problems: changes,
  })
}

export const listIdentities = operation({
  id: 'identity.list',
  method: 'GET',
  path: '/v1/identities',
  summary: 'Lists and searches the shared record.',
  function: 'iam',
  resource: 'Installation',
  query: IdentityQuery,
  output: pageOf(Identity),
})
export const readIdentity = operation({
  id: 'identity.read',
  method: 'GET',
  path: '/v1/identities/:identity',
  summary: 'Reads one identity.',
  function: 'iam',
  resource: 'Identity',
  params: one,
  output: Identity,
  problems: [notFound],
})
export const whoami = operation({
  id: 'identity.whoami',
  method: 'GET',
  path: '/v1/whoami',
  summary: 'Says as which identity the caller is known.',
  function: 'iam',
  resource: 'Identity',
  output: Identity,
})
export const registerIdentity = operation({
  id: 'identity.register',
  method: 'POST',
  path: '/v1/identities',
  summary: 'Enters an identity into the shared record.',
  function: 'iam',
  resource: 'Installation',
  input: RegisterIdentity,
  output: Identity,
  status: 201,
  problems: [nameTaken, invalidInput],
})
export const updateIdentity = operation({
  id: 'identity.update',
  method: 'PATCH',
  path: '/v1/identities/:identity',
  summary: 'Changes what is recorded of an identity. A new environment or tier must be attested again by its owner.',
  function: 'iam',
  resource: 'Identity',
  params: one,
  input: UpdateIdentity,
  output: Identity,
  problems: changes,
})
const because = z.strictObject({ reason: Reason })
const nothing = z.undefined()
export const activateIdentity = change('identity.activate', 'activate', 'Lets a registered identity act.', nothing)
export const suspendIdentity = change('identity.suspend', 'suspend', 'Stops an identity and ends its grants.', because)
export const resumeIdentity = change('identity.resume', 'resume', 'Lets a suspended identity act again.', nothing)
export const retireIdentity = change(
  'identity.retire',
  'retire',
  'Ends an identity for good, with its grants and what it owned.',
  because,
)
export const assignOwner = change('identity.assign-owner', 'assign-owner', 'Suggests an owner.', AssignOwner)
export const attestOwner = change('identity.attest-owner', 'attest-owner', 'Accepts to be the owner.', nothing)
export const loseOwner = change(
  'identity.lose-owner',
  'lose-owner',
  'Records that nobody answers for it any more.',
  because,
)
export const eraseIdentity = change(
  'identity.erase',
  'erase',
  'Destroys the key of a retired person, so that nothing personal of theirs can be read again.',
  because,
)
export const enrolIdentity = operation({
  id: 'identity.enrol',
  method: 'POST',
  path: '/v1/identities/:identity/enrolments',
  summary: 'Makes a one-time link by which an identity gets a token; earlier links end.',
  function: 'iam',
  resource: 'Identity',
  params: one,
  input: EnrolIdentity,
  output: Enrolment,
  status: 201,
  rate: 'tight',
  problems: [notFound, conflict, ownerless],
})
export const redeemEnrolment = operation({
  id: 'enrolment.redeem',
  method: 'POST',
  path: '/v1/enrolments/redeem',
  summary: 'Turns a one-time link into a token.',
  function: 'iam',
  resource: 'Identity',
  input: RedeemEnrolment,
  output: IssuedToken,
  caller: 'none',
  status: 201,
  problems: [enrolmentInvalid, nameTaken, invalidInput, keyNeeded],
})
export const issueToken = operation({
  id: 'token.issue',
  method: 'POST',
  path: '/v1/identities/:identity/tokens',
  summary: 'Issues a token for oneself, or for a machine, workload or agent one answers for.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  input: IssueToken,
  output: IssuedToken,
  status: 201,
  rate: 'tight',
  problems: [notFound, conflict, invalidInput, ownCredentialOnly, ownerless, keyNeeded],
})
export const listTokens = operation({
  id: 'token.list',
  method: 'GET',
  path: '/v1/identities/:identity/tokens',
  summary: 'Lists the tokens of an identity, without their values.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  query: PageQuery,
  output: pageOf(Token),
  problems: [notFound],
})
export const revokeToken = operation({
  id: 'token.revoke',
  method: 'POST',
  path: '/v1/tokens/:token/revoke',
  summary: 'Ends a token now.',
  function: 'nhi',
  resource: 'Token',
  params: z.object({ token: Id }),
  output: Token,
  problems: [notFound, conflict],
})

export const identityOperations: readonly Operation[] = [
  listIdentities,
  readIdentity,
  whoami,
  registerIdentity,
  updateIdentity,
  activateIdentity,
  suspendIdentity,
  resumeIdentity,
  retireIdentity,
  assignOwner,
  attestOwner,
  loseOwner,
  eraseIdentity,
  enrolIdentity,
  redeemEnrolment,
  issueToken,
  listTokens,
  revokeToken,
]
