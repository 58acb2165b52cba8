import { z } from 'zod'
import { Mode } from '../catalog/contract.ts'
import { Reason } from '../identities/contract.ts'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'

const REQUEST_STATES = ['pending', 'granted', 'denied', 'expired', 'withdrawn', 'void'] as const
/** Why a grant's row ended. */
const END_REASONS = [
  'done',
  'expired',
  'revoked',
  'identity-suspended',
  'identity-retired',
  'owner-lost',
  'heartbeat-missed',
  'used-up',
  'purpose-ended',
  'policy-changed',
  'risk-rose',
  'signal-received',
  'target-retired',
  'account-retired',
] as const

const Name = shown(z.string().min(1).max(128))
const Sentence = shown(z.string().max(2000))
export const Sha256Hex = shown(z.string().regex(/^[0-9a-f]{64}$/))
const Count = shown(z.int().min(0))
export const RequestState = shown(z.enum(REQUEST_STATES))
export const EndReason = shown(z.enum(END_REASONS))
export type EndReason = z.output<typeof EndReason>
const AccountName = shown(z.string().min(1).max(63))
export const ActionName = shown(
  z
    .string()
    .max(128)
    .regex(/^[a-z0-9]+([._-][a-z0-9]+)*$/),
)
const Actions = shown(
  z
    .array(ActionName)
    .min(1)
    .max(16)
    .refine((names) => new Set(names).size === names.length, 'an action stands there twice'),
)
const Ticket = shown(z.string().trim().min(1).max(64))
const Task = shown(z.string().trim().min(1).max(200))

/** 30 days: a longer grant is a standing right by another name. */
const TTL_MAX_SECONDS = 30 * 86_400
const TtlSeconds = shown(z.int().min(1).max(TTL_MAX_SECONDS))
const Uses = shown(z.int().min(1).max(1_000_000))
/** A client that reconnects opens the next connection before it closes the last, and desktop clients keep a few. */
const DEFAULT_CONNECTIONS = 4
const Connections = shown(z.int().min(1).max(10_000))

/** What is owed for access, joined over the catalog's floor, every policy that permitted and every link of the chain. */
export const Owed = z
  .object({
    approval: shown(z.array(z.string()).max(256)).describe('all of these expressions must be satisfied'),
    ttlSeconds: TtlSeconds.nullable(),
    uses: Uses.nullable(),
    stepUp: shown(z.enum(['none', 'mfa', 'phishing-resistant'])),
    recording: shown(z.enum(['none', 'meta', 'full'])),
    reasonRequired: shown(z.boolean()),
    tickets: shown(z.array(z.string()).max(64)).describe('patterns a ticket must match'),
    hold: shown(z.array(z.string()).max(64))
      .default([])
      .describe('classes of operations that wait for another person, and who releases them'),
  })
  .meta({ id: 'Owed', classification: 'public' })
export type Owed = z.output<typeof Owed>

const Share = shown(z.number().min(0).max(1))
const Score = shown(z.int().min(0).max(100))
const factor = {
  name: Name,
  weight: Share.describe('how much it can add at most'),
  value: Share.nullable().describe('how much of that it adds; null: not known, so all of it at the high end'),
}
const risk = {
  score: Score.describe('what policies and gates compare with: the high end'),
  low: Score.describe('as if nothing unknown were bad'),
  high: Score.describe('as if everything unknown were'),
  model: z.object({ version: Name, sha256: Sha256Hex }).meta({ classification: 'public' }),
}

/** The risk of an act as entries keep it. */
export const RiskTold = z
  .object({ ...risk, factors: z.array(z.object(factor)).max(64).meta({ classification: 'public' }) })
  .meta({ id: 'RiskTold', classification: 'public' })
export type RiskTold = z.output<typeof RiskTold>

/** The risk of what waits for people, as it was last weighed. */
export const ReviewRisk = RiskTold.extend({ weighedAt: Instant }).meta({ id: 'ReviewRisk', classification: 'public' })
export type ReviewRisk = z.output<typeof ReviewRisk>

/** The risk of an act as people read it, each factor with its fact. */
export const RiskShown = z
  .object({
    ...risk,
    factors: z
      .array(z.object({ ...factor, fact: Sentence, source: Name, ageSeconds: Count.nullable() }))
      .max(64)
      .meta({ classification: 'public' }),
    sentences: shown(z.array(Sentence)),
  })
  .meta({ id: 'Risk', classification: 'public' })
export type RiskShown = z.output<typeof RiskShown>

/** What the system of tickets said about the one that was named. */
export const TicketChecked = z
  .object({ isVerified: shown(z.boolean()), by: Name.nullable().describe('which system'), sentence: Sentence })
  .meta({ id: 'TicketChecked', classification: 'public' })

export const DeterminingPolicy = z
  .object({ id: Name, sha256: Sha256Hex })
  .meta({ id: 'DeterminingPolicy', classification: 'public' })

/** What one person said about exactly what was shown to them. */
export const Approval = z
  .object({
    approverId: Id,
    approver: Slug,
    verdict: shown(z.enum(['approve', 'deny'])),
    boundSha256: Sha256Hex,
    comment: Reason.nullable(),
    at: Instant,
  })
  .meta({ id: 'Approval' })
export type Approval = z.output<typeof Approval>

const about = {
  subjectId: Id,
  subject: Slug,
  onBehalfOfId: Id.nullable(),
  onBehalfOf: Slug.nullable(),
  targetId: Id,
  target: Slug,
  accountId: Id,
  account: AccountName,
  actions: Actions,
  parserEnforced: shown(z.array(ActionName)).describe(
    'actions that no narrower role at the target bounds: only the gateway tells them apart',
  ),
  purposeId: Id,
  purpose: Slug,
  ticket: Ticket.nullable(),
  task: Task.nullable(),
}

/** What a target's mode made of it. */
const lenience = {
  mode: Mode.describe('of the target when it was asked; at tier 0 always enforce'),
  waived: shown(z.array(Sentence)).describe('what was owed and not asked for, since the target did not enforce'),
  warnings: shown(z.array(Sentence)).describe('for who asks'),
}

/** A request: what is asked for, what was decided about it, and what that is bound to. */
export const AccessRequest = z
  .object({
    id: Id,
    requesterId: Id,
    requester: Slug,
    triggeredById: Id.nullable(),
    ...about,
    reason: Reason.nullable(),
    askedTtlSeconds: TtlSeconds,
    ttlSeconds: TtlSeconds.describe('what is given of askedTtlSeconds: the policies may allow less'),
    askedUses: Uses.nullable(),
    uses: Uses.nullable().describe('what is given of askedUses'),
    connections: Connections,
    isKeptAlive: shown(z.boolean()),
    ...lenience,
    obligations: Owed,
    policies: z.array(DeterminingPolicy).meta({ classification: 'public' }),
    policyVersion: Name,
    boundSha256: Sha256Hex.describe('hash of all that will be granted and of the policies that decided'),
    state: RequestState,
    refusal: Sentence.nullable(),
    createdAt: Instant,
    expiresAt: Instant,
    decidedAt: Instant.nullable(),
    grantId: Id.nullable(),
    review: ReviewRisk.nullable().describe(
      'as it was last weighed for its approvers; null before that, and when it never waited',
    ),
    version: Count,
  })
  .meta({ id: 'AccessRequest' })
export type AccessRequest = z.output<typeof AccessRequest>

/** A request as somebody who decides on it sees it. */
export const AccessRequestDetail = AccessRequest.extend({
  approvals: z.array(Approval),
  risk: RiskShown.nullable().describe('of acting now; null when the request is decided'),
  decisionPath: z
    .object({
      controlOwner: Slug.describe('team that owns the target'),
      approverTeams: shown(z.array(Slug)).describe('teams the request was routed to when it was made'),
      operator: Slug.describe('who acts'),
    })
    .meta({ classification: 'public' }),
  missing: shown(z.array(Sentence)).describe('ways to open the gate, shortest first; empty when it is open'),
}).meta({ id: 'AccessRequestDetail' })
export type AccessRequestDetail = z.output<typeof AccessRequestDetail>

/** The only authority (rule 1). */
export const Grant = z
  .object({
    id: Id,
    requestId: Id,
    ...about,
    recording: shown(z.enum(['none', 'meta', 'full'])),
    maxUses: Uses.nullable(),
    uses: Count,
    maxConnections: Connections,
    isKeptAlive: shown(z.boolean()),
    startsAt: Instant,
    expiresAt: Instant,
    endedAt: Instant.nullable(),
    endReason: EndReason.nullable(),
    endComment: Reason.nullable().describe('what who ended it said about it'),
    residualBefore: Instant.nullable().describe(
      'until when what was issued under it may be taken for good although it ended; null: no longer than that takes',
    ),
    endedById: Id.nullable(),
    policyVersion: Name,
    riskScore: Score.nullable().describe('what it was given at; null of one that was made before it was kept'),
    version: Count,
  })
  .meta({ id: 'Grant' })
export type Grant = z.output<typeof Grant>

/** The one answer that holds a ticket's secret. */
export const IssuedTicket = z
  .object({
    id: Id,
    grantId: Id,
    user: Name.describe('the user name at the gateway: account@target'),
    ticket: z.string().describe('shown once, kept only as a hash'),
    firstUseBefore: Instant,
    isSingleUse: shown(z.boolean()),
    expiresAt: Instant,
  })
  .meta({ id: 'IssuedTicket' })
export type IssuedTicket = z.output<typeof IssuedTicket>

export const IssuedKey = z
  .object({
    id: Id,
    grantId: Id,
    user: Name.describe('the user name at the gateway: account@target'),
    certificate: shown(z.string()).describe('PEM'),
    authority: shown(z.string()).describe('PEM: what the gateway is verified against'),
    firstUseBefore: Instant,
    isSingleUse: shown(z.boolean()),
    expiresAt: Instant,
  })
  .meta({ id: 'IssuedKey' })
export type IssuedKey = z.output<typeof IssuedKey>

export const RequestAccess = z.strictObject({
  target: Slug,
  account: AccountName,
  actions: Actions,
  purpose: Slug.describe('name of an approved purpose that covers the target and the actions'),
  ticket: Ticket.optional(),
  task: Task.optional().describe('which run or task this is for'),
  reason: Reason.optional(),
  ttlSeconds: TtlSeconds.default(3600),
  uses: Uses.optional().describe('how many admissions; as many as the time allows if left out'),
  connections: Connections.default(DEFAULT_CONNECTIONS).describe('how many at once'),
  isKeptAlive: shown(z.boolean()).default(false).describe('ends within 15 s of the last heartbeat'),
  agent: Slug.optional().describe('an agent that shall act for the calling person: the grant is the agent’s'),
  onBehalfOf: Slug.optional().describe('of a calling agent: the person it acts for, who must be its sponsor'),
  triggeredBy: Slug.optional().describe('the person whose act set this off; they will not count as approver'),
})
export type RequestAccess = z.output<typeof RequestAccess>

/** What would be decided, without asking for it. */
export const Preview = z
  .object({
    outcome: shown(z.enum(['granted', 'pending', 'refused'])),
    reasons: shown(z.array(Sentence)),
    owed: shown(z.array(Sentence)).describe('what the caller still has to bring'),
    missing: shown(z.array(Sentence)).describe('approvals, one way per line'),
    risk: RiskShown,
    ticketCheck: TicketChecked.nullable().describe('null when nothing asks for a verified ticket'),
    obligations: Owed,
    policies: z.array(DeterminingPolicy).meta({ classification: 'public' }),
    policyVersion: Name,
    boundSha256: Sha256Hex,
    askedTtlSeconds: TtlSeconds,
    ttlSeconds: TtlSeconds.describe('what would be given of askedTtlSeconds'),
    askedUses: Uses.nullable(),
    uses: Uses.nullable().describe('what would be given of askedUses'),
    ...lenience,
    parserEnforced: shown(z.array(ActionName)),
  })
  .meta({ id: 'Preview' })
export type Preview = z.output<typeof Preview>

/** Why a use was refused; the same words as the gateways'. */
export const USE_REFUSALS = ['unknown', 'over', 'used-up', 'too-many', 'not-now'] as const
