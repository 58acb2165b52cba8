import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound, problem } from '../../kernel/problem.ts'
import { Reason } from '../../catalog/contract.ts'

const STATES = ['planned', 'issued', 'verified', 'adopted', 'dead', 'superseded'] as const

/**
 * How far a rotation is. planned: the new secret is sealed beside the old one. issued: the target knows it. verified: it lets in. adopted: it took the
 * old one's place. dead: the old one is refused. superseded: somebody gave another login meanwhile, which works.
 */
const RotationState = shown(z.enum(STATES))
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
    startedById: Id.nullable().describe('null: its schedule'),
    endsSessions: shown(z.boolean()),
    plannedAt: Instant,
    issuedAt: Instant.nullable(),
    verifiedAt: Instant.nullable(),
    adoptedAt: Instant.nullable(),
    overAt: Instant.nullable(),
    nextTryAt: Instant.nullable(),
    attempts: shown(z.int()),
    lastError: Text.nullable(),
    escalation: shown(z.enum(['none', 'owner', 'security'])).describe('who should know by now that it is not over'),
    evidence: shown(z.unknown()).describe('what proved the old secret dead'),
  })
  .meta({ id: 'Rotation' })
export type Rotation = z.output<typeof Rotation>

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

/** What there is cannot be rotated: the sentence says why. */
export const notRotatable = problem('not-rotatable', 409, 'The login cannot be rotated', { targetId: z.uuid() })
export const rotationOpen = problem('rotation-open', 409, 'A rotation of this login is under way', {
  targetId: z.uuid(),
})

const ofAccount = z.object({ account: Id })
const ofTarget = z.object({ target: Slug.describe('name or id') })
const one = z.object({ rotation: Id })

export const startRotation = operation({
  id: 'rotation.start',
  method: 'POST',
  path: '/v1/accounts/:account/rotations',
  summary: 'Gives the login of a static account a new secret and proves the old one dead.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  input: StartRotation,
  output: Rotation,
  status: 201,
  problems: [notFound, notRotatable, rotationOpen],
})
export const startProvisionerRotation = operation({
  id: 'rotation.start-provisioner',
  method: 'POST',
  path: '/v1/targets/:target/provisioner/rotations',
  summary: 'Gives the login by which leases are made at a target a new secret and proves the old one dead.',
  function: 'nhi',
  resource: 'Target',
  params: ofTarget,
  input: StartRotation,
  output: Rotation,
  status: 201,
  problems: [notFound, notRotatable, rotationOpen],
})
export const scheduleRotation = operation({
  id: 'rotation.schedule',
  method: 'PUT',
  path: '/v1/accounts/:account/rotation-schedule',
  summary: 'Says how often the login of a static account is rotated by itself.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  input: ScheduleRotation,
  output: RotationSchedule,
  problems: [notFound, notRotatable],
})
export const scheduleProvisionerRotation = operation({
  id: 'rotation.schedule-provisioner',
  method: 'PUT',
  path: '/v1/targets/:target/provisioner/rotation-schedule',
  summary: 'Says how often the login by which leases are made at a target is rotated by itself.',
  function: 'nhi',
  resource: 'Target',
  params: ofTarget,
  input: ScheduleRotation,
  output: RotationSchedule,
  problems: [notFound, notRotatable],
})
export const listRotations = operation({
  id: 'rotation.list',
  method: 'GET',
  path: '/v1/rotations',
  summary: 'Lists rotations, those that are not over among them with age, owner and last error.',
  function: 'nhi',
  resource: 'Installation',
  query: RotationQuery,
  output: pageOf(Rotation),
})
export const readRotation = operation({
  id: 'rotation.read',
  method: 'GET',
  path: '/v1/rotations/:rotation',
  summary: 'Reads one rotation, with the evidence that proved the old secret dead.',
  function: 'nhi',
  resource: 'Rotation',
  params: one,
  output: Rotation,
  problems: [notFound],
})
export const retryRotation = operation({
  id: 'rotation.retry',
  method: 'POST',
  path: '/v1/rotations/:rotation/retry',
  summary: 'Tries now to go on with a rotation that is not over.',
  function: 'nhi',
  resource: 'Rotation',
  params: one,
  output: Rotation,
  problems: [notFound, conflict],
})
export const certifyAccount = operation({
  id: 'account.certify',
  method: 'POST',
  path: '/v1/accounts/:account/certifications',
  summary: 'States that an account and its login are still right; not by who rotated or registered it.',
  function: 'governance',
  resource: 'Account',
  params: ofAccount,
  input: CertifyAccount,
  output: Certification,
  status: 201,
  problems: [notFound, conflict, invalidInput],
})
export const listCertifications = operation({
  id: 'account.list-certifications',
  method: 'GET',
  path: '/v1/accounts/:account/certifications',
  summary: 'Lists who certified an account, and until when.',
  function: 'governance',
  resource: 'Account',
  params: ofAccount,
  query: PageQuery,
  output: pageOf(Certification),
  problems: [notFound],
})

export const rotationOperations: readonly Operation[] = [
  startRotation,
  startProvisionerRotation,
  scheduleRotation,
  scheduleProvisionerRotation,
  listRotations,
  readRotation,
  retryRotation,
  certifyAccount,
  listCertifications,
]
