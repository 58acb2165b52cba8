import { z } from 'zod'
import { notSeen } from '../credentials/contract.ts'
import { personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../kernel/problem.ts'

const EVENT_TYPES = [
  'repository-archived',
  'pipeline-deleted',
  'deployment-gone',
  'vendor-offboarded',
  'job-finished',
  'ticket-closed',
] as const
export const EventType = shown(z.enum(EVENT_TYPES))
export const CaseReason = shown(z.enum(['leaver', 'owner-lost', 'expired', 'vendor', 'event', 'person']))
export type CaseReason = z.output<typeof CaseReason>
export const CaseState = shown(z.enum(['opened', 'suspended', 'checked', 'soaking', 'retired', 'closed', 'reopened']))
export type CaseState = z.output<typeof CaseState>
export const Reason = personal(z.string().trim().min(3).max(500)).describe('why, in a sentence')
const Text = shown(z.string().max(500))

/** Who uses an account that an identity claims, and whether that can be said. */
const AccountUse = z.object({
  account: shown(z.string()).describe('as target/account'),
  is: shown(z.enum(['used', 'unused', 'cannot-be-said'])),
  since: Instant.describe('of this time it is said'),
  until: Instant,
  lastAt: Instant.nullable().describe('the last use that a source told'),
  why: shown(z.array(z.string())).describe('why it cannot be said'),
  consumers: z
    .array(z.object({ by: shown(z.string()), name: shown(z.string()) }))
    .max(20)
    .describe('who uses it, and how that is known'),
  more: shown(z.int()).describe('consumers beside these'),
})
export type AccountUse = z.output<typeof AccountUse>

/** What an identity was seen to hang on, or to hold, when it was looked at. */
export const Dependencies = z.object({
  lookedAt: Instant,
  owns: shown(z.array(z.string())).describe('identities it answers for'),
  sponsors: shown(z.array(z.string())).describe('agents it answers for'),
  accounts: shown(z.array(z.string())).describe('accounts it claims, as target/account'),
  uses: z.array(AccountUse).max(50).default([]).describe('who uses those accounts; the first fifty'),
  ...notSeen,
  trustRules: shown(z.array(z.string())),
  liveGrants: shown(z.int()),
  openSessions: shown(z.int()),
  openLeases: shown(z.int()),
  liveTokens: shown(z.int()),
  usedAt: Instant.nullable().describe('when a session of it began last'),
})
export type Dependencies = z.output<typeof Dependencies>

/** Something that must be dead before a case closes, and whether it is. */
const Obligation = z
  .object({
    kind: shown(
      z.enum(['grant', 'session', 'lease', 'token', 'trust-rule', 'account', 'svid', 'login', 'object', 'deposit']),
    ),
    id: Id,
    label: Text,
    isDead: shown(z.boolean()),
    evidence: Text.nullable().describe('by what it is known to be dead; of what lives, what has to happen'),
  })
  .meta({ id: 'CaseObligation' })
export type Obligation = z.output<typeof Obligation>

export const LifecycleCase = z
  .object({
    id: Id,
    identityId: Id,
    identityName: Slug,
    reason: CaseReason,
    detail: Text,
    state: CaseState,
    heldBecause: Text.nullable().describe('why it waits for a person'),
    soakDays: shown(z.int()),
    openedAt: Instant,
    suspendedAt: Instant.nullable(),
    checkedAt: Instant.nullable(),
    soakEndsAt: Instant.nullable(),
    retiredAt: Instant.nullable(),
    overAt: Instant.nullable(),
    nextLookAt: Instant.nullable(),
    version: shown(z.int()),
  })
  .meta({ id: 'LifecycleCase' })
export type LifecycleCase = z.output<typeof LifecycleCase>

const CaseDetail = LifecycleCase.extend({
  dependencies: Dependencies.nullable(),
  obligations: z.array(Obligation).max(5000),
}).meta({ id: 'LifecycleCaseDetail' })
export type CaseDetail = z.output<typeof CaseDetail>

const CaseQuery = PageQuery.extend({
  state: CaseState.optional(),
  reason: CaseReason.optional(),
  isHeld: z.stringbool().optional(),
  isOpen: z.stringbool().optional(),
})
export type CaseQuery = z.output<typeof CaseQuery>

export const OpenCase = z.strictObject({
  reason: Reason,
  soakDays: shown(z.int().min(0).max(365)).optional().describe('how long it stays suspended; the configuration’s'),
})
export type OpenCase = z.output<typeof OpenCase>

export const ReportEvent = z.strictObject({
  eventId: shown(z.string().min(1).max(200)).describe('the sender’s own name for it: sent again it is the same'),
  type: EventType,
  identity: Slug.optional().describe('which identity ended with it, by name or id'),
  repository: shown(z.string().min(1).max(300))
    .optional()
    .describe('owner/name: what trust rules let in from there ends with it'),
  vendor: Slug.optional(),
  task: shown(z.string().min(1).max(200)).optional().describe('of a job: the task its grants name'),
  ticket: shown(z.string().min(1).max(200)).optional(),
  occurredAt: Instant,
})
export type ReportEvent = z.output<typeof ReportEvent>

export const LifecycleEvent = z
  .object({
    id: Id,
    senderId: Id,
    eventId: shown(z.string()),
    type: EventType,
    subject: shown(z.string()),
    occurredAt: Instant,
    receivedAt: Instant,
    outcome: z.object({ cases: shown(z.array(z.string())), endedGrants: shown(z.array(z.string())) }),
  })
  .meta({ id: 'LifecycleEvent' })
export type LifecycleEvent = z.output<typeof LifecycleEvent>

/** What a vendor has here, and what of it is not proven dead. */
const Vendor = z
  .object({
    vendor: Slug,
    identities: z.array(z.object({ id: Id, name: Slug, state: shown(z.string()), caseId: Id.nullable() })).max(1000),
    open: z.array(Obligation).max(5000).describe('not yet proven dead'),
    isOver: shown(z.boolean()),
  })
  .meta({ id: 'Vendor' })
export type Vendor = z.output<typeof Vendor>

export const ProvisionedUser = z
  .object({
    id: Id,
    providerId: Id,
    identityId: Id,
    identityName: Slug,
    isActive: shown(z.boolean()),
    createdAt: Instant,
    modifiedAt: Instant,
  })
  .meta({ id: 'ProvisionedUser' })
export type ProvisionedUser = z.output<typeof ProvisionedUser>

const ofCase = z.object({ case: Id })
const because = z.strictObject({ reason: Reason })
const changing = {
  function: 'iam',
  resource: 'Identity',
  params: ofCase,
  input: because,
  output: LifecycleCase,
} as const

export const listCases = operation({
  id: 'case.list',
  method: 'GET',
  path: '/v1/cases',
  summary: 'Lists the ways of identities out of the record, the newest first.',
  function: 'iam',
  resource: 'Installation',
  query: CaseQuery,
  output: pageOf(LifecycleCase),
})
export const readCase = operation({
  id: 'case.read',
  method: 'GET',
  path: '/v1/cases/:case',
  summary: 'Reads a case: what was seen to hang on the identity, and what is not proven dead.',
  function: 'iam',
  resource: 'Installation',
  params: ofCase,
  output: CaseDetail,
  problems: [notFound],
})
export const openCase = operation({
  id: 'case.open',
  method: 'POST',
  path: '/v1/identities/:identity/cases',
  summary: 'Begins the way of an identity out of the record: it is suspended, looked at, soaked, retired, proven dead.',
  function: 'iam',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  input: OpenCase,
  output: LifecycleCase,
  status: 201,
  problems: [notFound, conflict],
})
export const advanceCase = operation({
  ...changing,
  id: 'case.advance',
  method: 'POST',
  path: '/v1/cases/:case/advance',
  summary: 'Lets a case go on that waits for a person.',
  problems: [notFound, conflict],
})
export const holdCase = operation({
  ...changing,
  id: 'case.hold',
  method: 'POST',
  path: '/v1/cases/:case/hold',
  summary: 'Makes a case wait where it is.',
  problems: [notFound, conflict],
})
export const reopenCase = operation({
  ...changing,
  id: 'case.reopen',
  method: 'POST',
  path: '/v1/cases/:case/reopen',
  summary: 'Keeps the identity: it acts again, without what ended. Not after it was retired.',
  problems: [notFound, conflict],
})
export const reportLifecycleEvent = operation({
  id: 'lifecycle-event.report',
  method: 'POST',
  path: '/v1/lifecycle-events',
  summary: 'Reports that something ended elsewhere: a repository, pipeline, deployment, vendor, job or ticket.',
  function: 'iam',
  resource: 'LifecycleEvent',
  input: ReportEvent,
  output: LifecycleEvent,
  status: 201,
  problems: [invalidInput, conflict],
})
export const listLifecycleEvents = operation({
  id: 'lifecycle-event.list',
  method: 'GET',
  path: '/v1/lifecycle-events',
  summary: 'Lists what was reported, the newest first, with what it led to.',
  function: 'iam',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(LifecycleEvent),
})
export const readVendor = operation({
  id: 'vendor.read',
  method: 'GET',
  path: '/v1/vendors/:vendor',
  summary: 'Says what a vendor has here, and what of it is not proven dead.',
  function: 'iam',
  resource: 'Installation',
  params: z.object({ vendor: Slug }),
  output: Vendor,
  problems: [notFound],
})
export const revokeVendor = operation({
  id: 'vendor.revoke',
  method: 'POST',
  path: '/v1/vendors/:vendor/revoke',
  summary: 'Ends all that a vendor holds, in one act, and says what is not yet proven dead.',
  function: 'iam',
  resource: 'Installation',
  params: z.object({ vendor: Slug }),
  input: because,
  output: Vendor,
  problems: [notFound],
})
export const listProvisionedUsers = operation({
  id: 'provisioned-user.list',
  method: 'GET',
  path: '/v1/provisioned-users',
  summary: 'Lists which user of which identity provider stands for which person.',
  function: 'iam',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(ProvisionedUser),
})
export const linkProvisionedUser = operation({
  id: 'provisioned-user.link',
  method: 'POST',
  path: '/v1/provisioned-users/:user/link',
  summary:
    'Lets a user of a provider stand for a person who was here before: from then on the provider stops that person.',
  function: 'iam',
  resource: 'Identity',
  params: z.object({ user: Id }),
  input: z.strictObject({ identity: Slug.describe('the person, by name or id'), reason: Reason }),
  output: ProvisionedUser,
  problems: [notFound, conflict],
})

export const lifecycleOperations: readonly Operation[] = [
  listCases,
  readCase,
  openCase,
  advanceCase,
  holdCase,
  reopenCase,
  reportLifecycleEvent,
  listLifecycleEvents,
  readVendor,
  revokeVendor,
  listProvisionedUsers,
  linkProvisionedUser,
]
