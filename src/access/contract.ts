import { z } from 'zod'
import { Reason } from '../identities/contract.ts'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { invalidInput, notFound, notPermitted } from '../kernel/problem.ts'
import { changeOperations } from './changes/contract.ts'
import { denialOperations } from './denials/contract.ts'
import { signalOperations } from './signals/contract.ts'
import { readFriction } from './friction/contract.ts'
import { holdOperations } from './holds/contract.ts'
import {
  alreadyApproved,
  boundChanged,
  grantOver,
  keyTaken,
  keyUnsuitable,
  noPossibleApprover,
  notDelegated,
  obligationsOwed,
  proofTooWeak,
  purposeDoesNotCover,
  requestNotPending,
  selfApproval,
  stepUpVoid,
} from './problems.ts'
import {
  AccessRequest,
  AccessRequestDetail,
  Grant,
  IssuedKey,
  IssuedTicket,
  Preview,
  RequestAccess,
  RequestState,
  Sha256Hex,
} from './schemas.ts'

export * from './problems.ts'
export * from './schemas.ts'
export * from './events.ts'
export * from './changes/contract.ts'
export * from './denials/contract.ts'
export * from './signals/contract.ts'
export * from './friction/contract.ts'
export * from './holds/contract.ts'

const oneRequest = z.object({ request: Id })
const oneGrant = z.object({ grant: Id })

export const requestAccess = operation({
  id: 'access.request',
  method: 'POST',
  path: '/v1/requests',
  summary: 'Asks for actions on an account of a target, for a purpose.',
  function: 'pam',
  resource: 'Account',
  input: RequestAccess,
  output: AccessRequest,
  status: 201,
  problems: [
    notFound,
    invalidInput,
    notPermitted,
    purposeDoesNotCover,
    obligationsOwed,
    noPossibleApprover,
    notDelegated,
    stepUpVoid,
  ],
})
export const previewAccess = operation({
  id: 'access.preview',
  method: 'POST',
  path: '/v1/requests/preview',
  summary: 'Says what would be decided: obligations, who would have to approve, what would be bound.',
  function: 'pam',
  resource: 'Account',
  input: RequestAccess,
  output: Preview,
  problems: [notFound, invalidInput, notDelegated],
})
export const RequestQuery = PageQuery.extend({
  view: z.enum(['all', 'mine', 'inbox']).default('all').describe('inbox: pending ones the caller could approve'),
  state: RequestState.optional(),
  order: z.enum(['newest', 'risk']).optional().describe('highest risk first in the inbox, newest first elsewhere'),
})
export type RequestQuery = z.output<typeof RequestQuery>
export const listRequests = operation({
  id: 'access.list',
  method: 'GET',
  path: '/v1/requests',
  summary: 'Lists requests: the inbox by risk, all others newest first.',
  function: 'pam',
  resource: 'Installation',
  query: RequestQuery,
  output: pageOf(AccessRequest),
})
export const readRequest = operation({
  id: 'access.read',
  method: 'GET',
  path: '/v1/requests/:request',
  summary: 'Reads one request with its approvals and what is missing.',
  function: 'pam',
  resource: 'AccessRequest',
  params: oneRequest,
  output: AccessRequestDetail,
  problems: [notFound],
})
/** An approval names the hash of what its author saw. */
const DecideRequest = z.strictObject({ boundSha256: Sha256Hex, comment: Reason.optional() })
export const approveRequest = operation({
  id: 'access.approve',
  method: 'POST',
  path: '/v1/requests/:request/approve',
  summary: 'Approves exactly what was shown; the last approval needed makes the grant.',
  function: 'pam',
  resource: 'AccessRequest',
  params: oneRequest,
  input: DecideRequest,
  output: AccessRequest,
  problems: [notFound, requestNotPending, selfApproval, alreadyApproved, boundChanged],
})
export const denyRequest = operation({
  id: 'access.deny',
  method: 'POST',
  path: '/v1/requests/:request/deny',
  summary: 'Refuses a request for good.',
  function: 'pam',
  resource: 'AccessRequest',
  params: oneRequest,
  input: z.strictObject({ comment: Reason.optional() }),
  output: AccessRequest,
  problems: [notFound, requestNotPending, selfApproval, alreadyApproved],
})
export const withdrawRequest = operation({
  id: 'access.withdraw',
  method: 'POST',
  path: '/v1/requests/:request/withdraw',
  summary: 'Takes a request back before it is decided.',
  function: 'pam',
  resource: 'AccessRequest',
  params: oneRequest,
  output: AccessRequest,
  problems: [notFound, requestNotPending],
})

export const GrantQuery = PageQuery.extend({
  view: z.enum(['all', 'mine']).default('all'),
  isLive: z.stringbool().optional(),
  subject: Slug.optional(),
  target: Slug.optional(),
})
export type GrantQuery = z.output<typeof GrantQuery>
export const listGrants = operation({
  id: 'grant.list',
  method: 'GET',
  path: '/v1/grants',
  summary: 'Lists grants, newest first.',
  function: 'pam',
  resource: 'Installation',
  query: GrantQuery,
  output: pageOf(Grant),
})
export const readGrant = operation({
  id: 'grant.read',
  method: 'GET',
  path: '/v1/grants/:grant',
  summary: 'Reads one grant.',
  function: 'pam',
  resource: 'Grant',
  params: oneGrant,
  output: Grant,
  problems: [notFound],
})
export const revokeGrant = operation({
  id: 'grant.revoke',
  method: 'POST',
  path: '/v1/grants/:grant/revoke',
  summary: 'Ends a grant now: its sessions are cut and its lease is revoked.',
  function: 'pam',
  resource: 'Grant',
  params: oneGrant,
  input: z.strictObject({ reason: Reason }),
  output: Grant,
  problems: [notFound, grantOver],
})
export const finishGrant = operation({
  id: 'grant.done',
  method: 'POST',
  path: '/v1/grants/:grant/done',
  summary: 'Says that the task is finished; the grant ends.',
  function: 'pam',
  resource: 'Grant',
  params: oneGrant,
  output: Grant,
  problems: [notFound, grantOver],
})
export const Heartbeat = z.object({ grantId: Id, expiresAt: Instant, nextBefore: Instant }).meta({ id: 'Heartbeat' })
export type Heartbeat = z.output<typeof Heartbeat>
export const beatGrant = operation({
  id: 'grant.heartbeat',
  method: 'POST',
  path: '/v1/grants/:grant/heartbeat',
  summary: 'Says that the command the grant was made for still lives.',
  function: 'pam',
  resource: 'Grant',
  params: oneGrant,
  output: Heartbeat,
  problems: [notFound, grantOver],
})
export const issueTicket = operation({
  id: 'ticket.issue',
  method: 'POST',
  path: '/v1/grants/:grant/tickets',
  summary: 'Issues a ticket: a password for the gateway, bound to the grant and to the address of its first use.',
  function: 'nhi',
  resource: 'Grant',
  params: oneGrant,
  input: z.strictObject({ isSingleUse: shown(z.boolean()).default(false) }),
  output: IssuedTicket,
  status: 201,
  rate: 'tight',
  problems: [notFound, grantOver, proofTooWeak],
})
export const issueKey = operation({
  id: 'key.issue',
  method: 'POST',
  path: '/v1/grants/:grant/keys',
  summary: 'Certifies a public key for the gateway, bound to the grant.',
  function: 'nhi',
  resource: 'Grant',
  params: oneGrant,
  input: z.strictObject({
    publicKey: shown(z.string().min(1).max(2000)).describe('SubjectPublicKeyInfo as PEM: P-256 or Ed25519'),
    isSingleUse: shown(z.boolean()).default(false),
  }),
  output: IssuedKey,
  status: 201,
  problems: [notFound, grantOver, keyUnsuitable, keyTaken, proofTooWeak],
})

export const accessOperations: readonly Operation[] = [
  requestAccess,
  previewAccess,
  listRequests,
  readRequest,
  approveRequest,
  denyRequest,
  withdrawRequest,
  listGrants,
  readGrant,
  revokeGrant,
  finishGrant,
  beatGrant,
  issueTicket,
  issueKey,
  readFriction,
  ...denialOperations,
  ...holdOperations,
  ...changeOperations,
  ...signalOperations,
]
