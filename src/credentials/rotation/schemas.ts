import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { PageQuery } from '../../kernel/operation.ts'
import { Reason } from '../../catalog/contract.ts'

const STATES = [
  'planned',
  'issued',
  'verified',
  'distributed',
  'adopted',
  'disabled',
  'soaking',
  'revoked',
  'dead',
  'superseded',
  'aborting',
  'aborted',
] as const
const STRATEGIES = [
  'cut-over',
  'alternating',
  'dual-slot',
  'retain-old',
  'restart-hook',
  'broker-only',
  'by-hand',
] as const
const OCCASIONS = ['person', 'schedule', 'age', 'leak', 'owner-left', 'break-glass', 'campaign'] as const

/**
 * How far a rotation is. planned: the new secret is sealed beside the old one. issued: the target knows it. verified: it lets in. distributed: it took
 * the old one's place. adopted: every known consumer was seen with it. disabled: the old one is shut. soaking: it was refused. revoked: it was ended for
 * good. dead: its secret is refused. superseded: somebody gave another login meanwhile. aborting, aborted: the old one stays, and the new one is ended.
 */
const RotationState = shown(z.enum(STATES))
const RotationStrategy = shown(z.enum(STRATEGIES))
const Text = shown(z.string())

export const Rotation = z
  .object({
    id: Id,
    targetId: Id,
    targetName: Slug,
    ownerTeam: Text.describe('the team that owns the target'),
    accountId: Id.nullable().describe('null: the login by which leases are made and ended'),
    principal: Text.describe('the name of the login at the target'),
    state: RotationState,
    nextPrincipal: Text.nullable().describe('the login that the new secret is of, where two take turns'),
    strategy: RotationStrategy,
    occasion: shown(z.enum(OCCASIONS)).describe('why now'),
    stateAt: Instant.describe('since when it is in this state'),
    waitsFor: Text.nullable().describe('what it waits for, in a sentence'),
    startedById: Id.nullable().describe('null: it began by itself'),
    endsSessions: shown(z.boolean()),
    campaignId: Id.nullable(),
    plannedAt: Instant,
    issuedAt: Instant.nullable(),
    verifiedAt: Instant.nullable(),
    distributedAt: Instant.nullable(),
    toldAt: Instant.nullable().describe('when its hook answered'),
    adoptedAt: Instant.nullable(),
    disabledAt: Instant.nullable(),
    soakBefore: Instant.nullable().describe('how long the old one is kept shut before it is ended for good'),
    revokedAt: Instant.nullable(),
    deadlineAt: Instant.nullable().describe('by when a person should have done their part'),
    alarmedAt: Instant.nullable(),
    overAt: Instant.nullable(),
    nextTryAt: Instant.nullable(),
    attempts: shown(z.int()),
    lastError: Text.nullable(),
    escalation: shown(z.enum(['none', 'owner', 'security'])).describe('who should know by now that it is not over'),
    evidence: shown(z.unknown()).describe('what proved the old secret dead'),
  })
  .meta({ id: 'Rotation' })
export type Rotation = z.output<typeof Rotation>

export const RotationWay = z
  .object({
    id: Id,
    accountId: Id,
    strategy: RotationStrategy,
    alternate: Text.nullable(),
    soakSeconds: shown(z.int()),
    hookUrl: Text.nullable(),
    instructions: Text.nullable(),
    ownerTeam: Text.nullable(),
    deadlineDays: shown(z.int()).nullable(),
  })
  .meta({ id: 'RotationWay' })
export type RotationWay = z.output<typeof RotationWay>

export const Consumer = z
  .object({
    id: Id,
    accountId: Id,
    name: Text,
    origin: shown(z.enum(['declared', 'seen', 'gateway', 'reference'])),
    applicationName: Text.nullable(),
    address: Text.nullable(),
    ownerTeam: Text.nullable(),
    seenAt: Instant.nullable(),
    seenOn: Id.nullable().describe('the rotation whose new secret it was seen with last'),
    source: Text.nullable().describe('of a reference: which source tells of it'),
    location: Text.nullable().describe('of a reference: where the secret is kept'),
    readAt: Instant.nullable().describe('of a reference: when it was read there'),
    withdrawnAt: Instant.nullable(),
  })
  .meta({ id: 'Consumer' })
export type Consumer = z.output<typeof Consumer>

/** Parts of sources that were not seen: who uses a login may be there. */
export const notSeen = {
  unseen: shown(z.array(z.string()))
    .default([])
    .describe('parts of sources that were not seen whole and why: who uses it may be there; a few of them'),
  moreUnseen: shown(z.int()).default(0).describe('such parts beside these'),
}
export type NotSeen = { readonly unseen: string[]; readonly moreUnseen: number }

export const ConsumerPage = z
  .object({ items: z.array(Consumer).max(200), nextCursor: z.string().nullable(), ...notSeen })
  .meta({ id: 'ConsumerPage' })
export type ConsumerPage = z.output<typeof ConsumerPage>

export const RotationDetail = Rotation.extend({
  consumers: z.array(Consumer).max(500).describe('who is known to use the login, and how'),
}).meta({ id: 'RotationDetail' })
export type RotationDetail = z.output<typeof RotationDetail>

export const Campaign = z
  .object({
    id: Id,
    state: shown(z.enum(['running', 'stopped', 'over'])),
    startedById: Id,
    reason: Reason,
    perTarget: shown(z.int()),
    mostFailures: shown(z.int()),
    startedAt: Instant,
    overAt: Instant.nullable(),
    logins: shown(z.int()),
    started: shown(z.int()),
    dead: shown(z.int()),
    failing: shown(z.int()).describe('aborted, superseded, refused, or failing now'),
  })
  .meta({ id: 'RotationCampaign' })
export type Campaign = z.output<typeof Campaign>

export const Obligation = z
  .object({
    kind: shown(z.enum(['rotation', 'lease'])),
    id: Id,
    targetName: Slug,
    ownerTeam: Text,
    principal: Text,
    state: Text,
    openSince: Instant,
    ageSeconds: shown(z.int()),
    nextTryAt: Instant.nullable(),
    attempts: shown(z.int()),
    waitsFor: Text.nullable(),
    lastError: Text.nullable(),
    escalation: shown(z.enum(['none', 'owner', 'security'])).describe('who should know by now'),
  })
  .meta({ id: 'Obligation' })
export type Obligation = z.output<typeof Obligation>

export const LocalSecret = z
  .object({
    id: Id,
    accountId: Id,
    identityId: Id,
    address: Text,
    createdAt: Instant,
    revokedAt: Instant.nullable(),
  })
  .meta({ id: 'LocalSecret' })
export type LocalSecret = z.output<typeof LocalSecret>

export const RotationSchedule = z
  .object({
    id: Id,
    targetId: Id,
    accountId: Id.nullable(),
    everyDays: shown(z.int()).nullable(),
    dueAt: Instant.nullable(),
  })
  .meta({ id: 'RotationSchedule' })
export type RotationSchedule = z.output<typeof RotationSchedule>

export const Certification = z
  .object({ id: Id, accountId: Id, certifierId: Id, certifiedAt: Instant, goodBefore: Instant })
  .meta({ id: 'Certification' })
export type Certification = z.output<typeof Certification>

export const StartRotation = z.strictObject({
  reason: Reason,
  endSessions: shown(z.boolean())
    .default(false)
    .describe('also ends what was opened at the target with the old secret; otherwise it goes on'),
})
export type StartRotation = z.output<typeof StartRotation>

export const ScheduleRotation = z.strictObject({
  everyDays: shown(z.int().min(1).max(365)).nullable().describe('null: by nobody but people'),
  reason: Reason,
})
export type ScheduleRotation = z.output<typeof ScheduleRotation>

const Team = shown(z.string().min(1).max(64))
/** As identifiers of targets are: nothing that looks like another name, and no room for a sentence. */
const Login = shown(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/))

export const ConfigureRotation = z.strictObject({
  strategy: RotationStrategy,
  alternate: Login.optional().describe('alternating: the login that takes turns with the account'),
  soakSeconds: shown(z.int().min(0).max(2_592_000)).default(0),
  hookUrl: shown(z.url().max(2_000)).optional().describe('restart-hook: whom to tell that there is a new secret'),
  hookKey: z.string().min(32).max(256).optional().describe('what the call and its answer are signed with'),
  instructions: shown(z.string().min(1).max(500)).optional().describe('by-hand: what to do'),
  ownerTeam: Team.optional().describe('by-hand: who does it'),
  deadlineDays: shown(z.int().min(1).max(365)).optional().describe('by-hand: how long they have'),
  reason: Reason,
})
export type ConfigureRotation = z.output<typeof ConfigureRotation>

export const DeclareConsumer = z.strictObject({
  name: Slug.describe('small letters, digits and hyphens, so that no name looks like another'),
  ownerTeam: Team,
  applicationName: shown(z.string().min(1).max(63)).optional().describe('what it calls itself at the target'),
  address: shown(z.string().min(2).max(45)).optional().describe('where it comes from, as the target sees it'),
  reason: Reason,
})
export type DeclareConsumer = z.output<typeof DeclareConsumer>

export const WithReason = z.strictObject({ reason: Reason })

/** The secret is classified as one by saying nothing of it. */
export const HandIn = z.strictObject({ password: z.string().min(1).max(1_000) })
export type HandIn = z.output<typeof HandIn>

export const StartMany = z.strictObject({
  ownerTeam: Team.optional(),
  target: Slug.optional(),
  host: shown(z.string().min(1).max(253)).optional().describe('every target at this address'),
  business: shown(z.string().min(1).max(200)).optional().describe('every target of this business service'),
  vendor: shown(z.string().min(1).max(200)).optional().describe('every account that an identity of this vendor claims'),
  endSessions: shown(z.boolean()).default(false),
  perTarget: shown(z.int().min(1).max(50)).default(2).describe('how many at once at one target'),
  mostFailures: shown(z.int().min(0).max(1_000)).default(0).describe('it stops when more fail'),
  reason: Reason,
})
export type StartMany = z.output<typeof StartMany>

export const ResumeMany = z.strictObject({ mostFailures: shown(z.int().min(0).max(1_000)), reason: Reason })
export type ResumeMany = z.output<typeof ResumeMany>

export const IssueLocalSecret = z.strictObject({
  account: Id.describe('whose login it stands for at the gateway'),
  address: shown(z.string().min(2).max(45)).describe('the one address it comes from'),
  reason: Reason,
})
export type IssueLocalSecret = z.output<typeof IssueLocalSecret>

export const RotationQuery = PageQuery.extend({
  state: RotationState.optional(),
  open: shown(z.stringbool()).optional().describe('only those that are not over'),
  target: Slug.optional(),
})
export type RotationQuery = z.output<typeof RotationQuery>

export const CertifyAccount = z.strictObject({
  goodBefore: Instant.describe('until when this word counts; a year at most'),
  statement: Reason.describe('what was looked at, in a sentence'),
})
export type CertifyAccount = z.output<typeof CertifyAccount>
