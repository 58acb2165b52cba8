import { z } from 'zod'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound, problem } from '../../kernel/problem.ts'
import {
  Campaign,
  Certification,
  CertifyAccount,
  ConfigureRotation,
  Consumer,
  ConsumerPage,
  DeclareConsumer,
  HandIn,
  IssueLocalSecret,
  LocalSecret,
  Obligation,
  ResumeMany,
  Rotation,
  RotationDetail,
  RotationQuery,
  RotationSchedule,
  RotationWay,
  ScheduleRotation,
  StartMany,
  StartRotation,
  WithReason,
} from './schemas.ts'

export * from './schemas.ts'

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
  summary: 'Reads one rotation, with who is known to use the login and the evidence that proved the old secret dead.',
  function: 'nhi',
  resource: 'Rotation',
  params: one,
  output: RotationDetail,
  problems: [notFound],
})
export const abortRotation = operation({
  id: 'rotation.abort',
  method: 'POST',
  path: '/v1/rotations/:rotation/abort',
  summary: 'Keeps the old secret, as long as it lives, and ends the new one.',
  function: 'nhi',
  resource: 'Rotation',
  params: one,
  input: WithReason,
  output: Rotation,
  problems: [notFound, conflict],
})
export const handIn = operation({
  id: 'rotation.hand-in',
  method: 'POST',
  path: '/v1/rotations/:rotation/secret',
  summary: 'Hands in the secret that a person set at the target; the rotation is over once the old one is refused.',
  function: 'nhi',
  resource: 'Rotation',
  params: one,
  input: HandIn,
  output: Rotation,
  problems: [notFound, conflict, invalidInput],
})
export const configureRotation = operation({
  id: 'rotation.configure',
  method: 'PUT',
  path: '/v1/accounts/:account/rotation-way',
  summary: 'Says how the login of a static account gets another secret.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  input: ConfigureRotation,
  output: RotationWay,
  problems: [notFound, notRotatable, rotationOpen, invalidInput],
})
export const reportLeak = operation({
  id: 'credential.report-leak',
  method: 'POST',
  path: '/v1/accounts/:account/leaks',
  summary:
    'Says that the secret of a static account is known to others: it is rotated now, and what it opened is ended.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  input: WithReason,
  output: Rotation,
  status: 201,
  problems: [notFound, notRotatable, rotationOpen],
})
export const declareConsumer = operation({
  id: 'consumer.declare',
  method: 'POST',
  path: '/v1/accounts/:account/consumers',
  summary: 'Says who holds a copy of the secret of an account: the old one is kept until it was seen with the new one.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  input: DeclareConsumer,
  output: Consumer,
  status: 201,
  problems: [notFound, conflict, invalidInput],
})
export const withdrawConsumer = operation({
  id: 'consumer.withdraw',
  method: 'POST',
  path: '/v1/accounts/:account/consumers/:consumer/withdraw',
  summary: 'Says that something does not use an account any more, or took the new secret: no rotation waits for it.',
  function: 'nhi',
  resource: 'Account',
  params: z.object({ account: Id, consumer: Id }),
  input: WithReason,
  output: Consumer,
  problems: [notFound, conflict],
})
export const listConsumers = operation({
  id: 'consumer.list',
  method: 'GET',
  path: '/v1/accounts/:account/consumers',
  summary: 'Lists who uses an account, with which secret they were seen last, and what could not be seen.',
  function: 'nhi',
  resource: 'Account',
  params: ofAccount,
  query: PageQuery,
  output: ConsumerPage,
  problems: [notFound],
})
export const startMany = operation({
  id: 'rotation.start-many',
  method: 'POST',
  path: '/v1/rotation-campaigns',
  summary: 'Rotates every static login of an owner, a target, a host or a business service, what reaches most first.',
  function: 'nhi',
  resource: 'Installation',
  input: StartMany,
  output: Campaign,
  status: 201,
  problems: [invalidInput],
})
export const readMany = operation({
  id: 'rotation.read-many',
  method: 'GET',
  path: '/v1/rotation-campaigns/:campaign',
  summary: 'Reads how far a rotation of many is.',
  function: 'nhi',
  resource: 'Installation',
  params: z.object({ campaign: Id }),
  output: Campaign,
  problems: [notFound],
})
export const resumeMany = operation({
  id: 'rotation.resume-many',
  method: 'POST',
  path: '/v1/rotation-campaigns/:campaign/resume',
  summary: 'Lets a rotation of many go on that stopped because too many failed.',
  function: 'nhi',
  resource: 'Installation',
  params: z.object({ campaign: Id }),
  input: ResumeMany,
  output: Campaign,
  problems: [notFound, conflict],
})
export const listObligations = operation({
  id: 'obligation.list',
  method: 'GET',
  path: '/v1/obligations',
  summary:
    'Lists what is not yet proven dead, the oldest first: who owns it, how old it is, and when it is tried next.',
  function: 'nhi',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(Obligation),
})
export const issueLocalSecret = operation({
  id: 'local-secret.issue',
  method: 'POST',
  path: '/v1/identities/:identity/local-secrets',
  summary:
    'Gives an application that cannot reload a fixed secret to the gateway, good from one address under its grants.',
  function: 'nhi',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  input: IssueLocalSecret,
  output: LocalSecret.extend({ secret: z.string().describe('shown once') }),
  status: 201,
  problems: [notFound, invalidInput],
})
export const revokeLocalSecret = operation({
  id: 'local-secret.revoke',
  method: 'POST',
  path: '/v1/identities/:identity/local-secrets/:secret/revoke',
  summary: 'Ends a fixed secret of an application.',
  function: 'nhi',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id'), secret: Id }),
  input: WithReason,
  output: LocalSecret,
  problems: [notFound, conflict],
})
export const resumeRotation = operation({
  id: 'rotation.resume',
  method: 'POST',
  path: '/v1/rotations/:rotation/resume',
  summary: 'Goes on now with a rotation that is not over.',
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
  resumeRotation,
  abortRotation,
  handIn,
  configureRotation,
  reportLeak,
  declareConsumer,
  withdrawConsumer,
  listConsumers,
  startMany,
  readMany,
  resumeMany,
  listObligations,
  issueLocalSecret,
  revokeLocalSecret,
  certifyAccount,
  listCertifications,
]
