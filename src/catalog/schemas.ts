import { z } from 'zod'
import { personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { PageQuery } from '../kernel/operation.ts'
import { problem } from '../kernel/problem.ts'
import { Environment, Tier } from '../identities/contract.ts'

const ActionName = shown(
  z
    .string()
    .max(128)
    .regex(/^[a-z0-9]+([._-][a-z0-9]+)*$/, 'name an action as the catalog does, such as postgres.read'),
)
const ActionNames = shown(z.array(ActionName).min(1).max(50))
const Text = shown(z.string().trim().min(1).max(500))
export const Reason = personal(z.string().trim().min(3).max(500)).describe('why, in a sentence')
/** What happens to sessions when control or the recorder is lost: they end, or (a declared exception) go on. */
export const OnLoss = shown(z.enum(['end', 'continue']))
/**
 * How strictly a target holds what is decided about it. observe: what obligations and grants would refuse goes through and is recorded.
 * warn: the caller is told too. enforce: it is refused.
 */
export const Mode = shown(z.enum(['observe', 'warn', 'enforce']))
export type Mode = z.output<typeof Mode>
/** An account's name is the target's to choose, but it becomes the left half of `account@target`. */
export const AccountName = shown(
  z
    .string()
    .min(1)
    .max(63)
    // oxlint-disable-next-line no-control-regex -- none of these may stand in a name
    .regex(/^[^\u0000-\u001f\u007f]+$/, 'a name has no control characters'),
)

const FUNCTIONS = ['iam', 'pam', 'nhi', 'governance'] as const
const DecidingFunction = z.enum(FUNCTIONS)
const Deciders = z.object({
  owns: DecidingFunction.default('pam').describe('what it takes to do it'),
  holds: DecidingFunction.default('iam').describe('who may hold it'),
  credentials: DecidingFunction.default('nhi').describe('how its credentials live'),
})

export const ActionEntry = z
  .object({
    name: ActionName,
    protocol: shown(z.string()),
    class: shown(z.enum(['read', 'change', 'admin'])),
    tier: Tier.describe('in production'),
    tierElsewhere: Tier.nullable().default(null).describe('outside production; null: the same'),
    enforcement: shown(z.enum(['gateway', 'target', 'reeve', 'none']))
      .default('gateway')
      .describe('who enforces it; none: no gateway does yet, and it cannot be granted'),
    deciders: shown(Deciders).prefault({}),
    summary: Text,
    obligations: shown(z.record(z.string(), z.string())).describe('a floor that no policy lowers'),
  })
  .meta({ id: 'ActionEntry' })
export type ActionEntry = z.output<typeof ActionEntry>
/** As a gateway or a file offers it. */
export type OfferedAction = z.input<typeof ActionEntry>

export const Target = z
  .object({
    id: Id,
    name: Slug,
    protocol: shown(z.string()),
    environment: Environment,
    sensitivity: Tier.describe('as a tier: 0 is the most sensitive'),
    businessService: Text.nullable(),
    ownerTeam: Slug,
    settings: shown(z.record(z.string(), z.unknown())),
    onControlLoss: OnLoss,
    onRecorderLoss: OnLoss,
    mode: Mode,
    state: shown(z.enum(['active', 'retired'])),
    createdAt: Instant,
    version: shown(z.int()),
  })
  .meta({ id: 'Target' })
export type Target = z.output<typeof Target>

/** What was read of an account at its target. */
export const SeenAttributes = z.object({
  isSuperuser: shown(z.boolean()).optional(),
  canCreateRole: shown(z.boolean()).optional(),
  canLogIn: shown(z.boolean()).optional(),
  hasPassword: shown(z.boolean()).optional(),
  passwordNeverExpires: shown(z.boolean()).optional(),
  validUntil: shown(z.string().max(64)).nullable().optional(),
  memberOf: shown(z.array(z.string().max(200)).max(1000)).optional(),
  owns: shown(z.array(z.string().max(200)).max(1000)).optional(),
  connections: shown(z.int()).optional().describe('open when it was looked at'),
  lastSeenAt: shown(z.string().max(64)).nullable().optional().describe('last known use'),
  owner: shown(z.string().max(200)).nullable().optional().describe('who the target says it belongs to'),
})
export type SeenAttributes = z.output<typeof SeenAttributes>

export const Account = z
  .object({
    id: Id,
    targetId: Id,
    name: AccountName,
    identityId: Id.nullable().describe('who claims it; nobody is a finding'),
    mode: shown(z.enum(['lease', 'static', 'seen'])),
    databases: shown(z.array(z.string()).max(100)),
    tier: Tier,
    attributes: SeenAttributes,
    state: shown(z.enum(['active', 'retired'])),
    seenAt: Instant.nullable(),
    version: shown(z.int()),
  })
  .meta({ id: 'Account' })
export type Account = z.output<typeof Account>

export const AccountDetail = Account.extend({
  roles: shown(z.record(z.string(), z.string())).describe('which group role bounds each action at the target'),
}).meta({ id: 'AccountDetail' })
export type AccountDetail = z.output<typeof AccountDetail>

export const Purpose = z
  .object({
    id: Id,
    name: Slug,
    statement: Text,
    ownerTeam: Slug,
    targets: shown(z.array(Id)),
    actions: ActionNames,
    state: shown(z.enum(['proposed', 'approved', 'ended'])),
    proposedBy: Id,
    approvedBy: Id.nullable(),
    createdAt: Instant,
    expiresAt: Instant,
    version: shown(z.int()),
  })
  .meta({ id: 'Purpose' })
export type Purpose = z.output<typeof Purpose>

/** A login at a target. It goes in once, sealed, and never comes out of the API. */
export const Login = z.strictObject({ user: z.string().min(1).max(200), password: z.string().min(1).max(1000) })
export type Login = z.output<typeof Login>

export const RegisterTarget = z.strictObject({
  name: Slug,
  protocol: Slug,
  environment: Environment,
  sensitivity: Tier.default(1),
  businessService: Text.optional(),
  ownerTeam: Slug,
  settings: shown(z.record(z.string(), z.unknown())).describe('as the protocol has it: address, TLS mode'),
  provisioner: Login.optional().describe('the login by which leases are made and ended'),
  onControlLoss: OnLoss.default('end'),
  onRecorderLoss: OnLoss.default('end'),
  exceptionReason: Reason.optional().describe('why sessions may go on without control or recorder'),
})
export type RegisterTarget = z.output<typeof RegisterTarget>

export const UpdateTarget = z
  .strictObject({
    environment: Environment.optional(),
    sensitivity: Tier.optional(),
    businessService: Text.nullable().optional(),
    ownerTeam: Slug.optional(),
    settings: shown(z.record(z.string(), z.unknown())).optional(),
    provisioner: Login.optional(),
    onControlLoss: OnLoss.optional(),
    onRecorderLoss: OnLoss.optional(),
    exceptionReason: Reason.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'say what to change')
export type UpdateTarget = z.output<typeof UpdateTarget>

/** `was` is what the caller believes it is, so that what was decided is what is done. */
export const SetMode = z.strictObject({
  mode: Mode,
  was: Mode.describe('what it is now; refused when it is something else'),
  reason: Reason,
})
export type SetMode = z.output<typeof SetMode>

export const RegisterAccount = z.strictObject({
  name: AccountName,
  mode: shown(z.enum(['lease', 'static'])),
  databases: shown(z.array(z.string().min(1).max(63)).max(100)).default([]),
  tier: Tier.optional().describe('the target’s when left out'),
  roles: shown(z.record(ActionName, z.string().min(1).max(63)))
    .default({})
    .describe('which group role at the target bounds each action'),
  password: z.string().min(1).max(1000).optional().describe('of a static account; sealed'),
})
export type RegisterAccount = z.output<typeof RegisterAccount>

export const ProposePurpose = z.strictObject({
  name: Slug,
  statement: Text.describe('what it is for, in a sentence'),
  ownerTeam: Slug,
  targets: shown(z.array(Slug).min(1).max(100)).describe('names or ids'),
  actions: ActionNames,
  expiresAt: Instant,
})
export type ProposePurpose = z.output<typeof ProposePurpose>

export const TargetQuery = PageQuery.extend({
  environment: Environment.optional(),
  protocol: Slug.optional(),
  ownerTeam: Slug.optional(),
  state: Target.shape.state.optional(),
})
export type TargetQuery = z.output<typeof TargetQuery>
export const AccountQuery = PageQuery.extend({
  mode: Account.shape.mode.optional(),
  claimed: z.enum(['yes', 'no']).optional(),
})
export type AccountQuery = z.output<typeof AccountQuery>
export const PurposeQuery = PageQuery.extend({ state: Purpose.shape.state.optional(), ownerTeam: Slug.optional() })
export type PurposeQuery = z.output<typeof PurposeQuery>

export const continuesAtTier0 = problem('continues-at-tier-0', 422, 'Nothing goes on without control at tier 0', {
  target: z.string(),
})
export const enforcesAtTier0 = problem('enforces-at-tier-0', 422, 'At tier 0 a target enforces', {
  target: z.string(),
})
export const ownPurpose = problem('own-purpose', 403, 'A purpose is approved by somebody who did not propose it', {
  purposeId: z.uuid(),
})
export const targetUnreachable = problem('target-unreachable', 502, 'The target could not be read', {
  targetId: z.uuid(),
})
