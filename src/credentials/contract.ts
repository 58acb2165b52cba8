import { z } from 'zod'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { custodyOperations } from './custody/contract.ts'
import { issuedOperations } from './issued/contract.ts'
import { Revocability } from './revocability.ts'
import { machineOperations } from './machines/contract.ts'
import { rotationOperations } from './rotation/contract.ts'
import { spiffeOperations } from './spiffe/contract.ts'
import { federationOperations } from './spiffe/federation-contract.ts'
import { sshOperations } from './ssh/contract.ts'

export { PostgresSettings } from './postgres/settings.ts'
export { leaseImpossible, leaseRefused, leaseUnavailable } from './problems.ts'
export { AwsSettings } from './aws/settings.ts'
export { HttpsSettings } from './https/settings.ts'
export * from './custody/contract.ts'
export * from './issued/contract.ts'
export { KeycloakSettings } from './keycloak/settings.ts'
export { KubernetesTokenSettings } from './kubernetes/settings.ts'
export { LdapSettings } from './ldap/settings.ts'
export { MysqlSettings } from './mysql/settings.ts'
export { OpenbaoSettings } from './openbao/settings.ts'
export * from './machines/contract.ts'
export * from './rotation/contract.ts'
export * from './spiffe/contract.ts'
export * from './spiffe/federation-contract.ts'
export * from './ssh/contract.ts'

const LEASE_STATES = ['announced', 'issued', 'ending', 'dead'] as const
const ESCALATIONS = ['none', 'owner', 'security'] as const

const LeaseState = shown(z.enum(LEASE_STATES))
/** Who should know that a lease does not end: the longer it is open, the louder. */
export const Escalation = shown(z.enum(ESCALATIONS))

/** What proves a lease dead: plain JSON, written by the protocol's writer. */
export const Evidence = shown(z.record(z.string(), z.json()))
export type Evidence = z.output<typeof Evidence>

/** A credential issued under a grant, without its value. */
export const Lease = z
  .object({
    id: Id,
    grantId: Id,
    targetId: Id,
    targetName: Slug,
    ownerTeam: shown(z.string()).describe('the team that owns the target'),
    accountId: Id,
    accountName: shown(z.string()),
    kind: shown(z.string()),
    principal: shown(z.string()).describe('its name at the target'),
    state: LeaseState,
    revocability: Revocability,
    residualBefore: Instant.nullable().describe(
      'until when it may be taken for good although it was ended; null: no longer than its end takes, or, where it cannot be revoked, until it is replaced',
    ),
    announcedAt: Instant,
    issuedAt: Instant.nullable(),
    endingAt: Instant.nullable(),
    deadAt: Instant.nullable(),
    nextTryAt: Instant.nullable(),
    attempts: shown(z.int()),
    lastError: shown(z.string()).nullable(),
    escalation: Escalation,
    evidence: shown(z.unknown()).describe('what proved it dead'),
  })
  .meta({ id: 'Lease' })
export type Lease = z.output<typeof Lease>

export const LeaseQuery = PageQuery.extend({
  state: LeaseState.optional(),
  open: shown(z.stringbool()).optional().describe('only those not yet proven dead'),
  target: Slug.optional(),
  grantId: z.uuid().optional(),
})
export type LeaseQuery = z.output<typeof LeaseQuery>

const one = z.object({ lease: Id })

export const listLeases = operation({
  id: 'lease.list',
  method: 'GET',
  path: '/v1/leases',
  summary: 'Lists credentials issued under grants, the open obligations among them with age, owner and last error.',
  function: 'nhi',
  resource: 'Installation',
  query: LeaseQuery,
  output: pageOf(Lease),
})
export const readLease = operation({
  id: 'lease.read',
  method: 'GET',
  path: '/v1/leases/:lease',
  summary: 'Reads one lease, with the evidence that proved it dead.',
  function: 'nhi',
  resource: 'Lease',
  params: one,
  output: Lease,
  problems: [notFound],
})
export const retryLease = operation({
  id: 'lease.retry',
  method: 'POST',
  path: '/v1/leases/:lease/retry',
  summary: 'Tries now to end a lease that is still open.',
  function: 'nhi',
  resource: 'Lease',
  params: one,
  output: Lease,
  problems: [notFound, conflict],
})

export const credentialOperations: readonly Operation[] = [
  listLeases,
  readLease,
  retryLease,
  ...custodyOperations,
  ...issuedOperations,
  ...rotationOperations,
  ...spiffeOperations,
  ...federationOperations,
  ...machineOperations,
  ...sshOperations,
]
