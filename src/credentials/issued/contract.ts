import { z } from 'zod'
import { grantOver, proofTooWeak, useRefused } from '../../access/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { notFound } from '../../kernel/problem.ts'
import { leaseImpossible, leaseRefused, leaseUnavailable } from '../problems.ts'
import { Revocability } from '../revocability.ts'

/** A credential in the hands of whoever holds the grant. The one answer that has its values. */
export const HandedCredential = z
  .object({
    leaseId: Id,
    grantId: Id,
    kind: shown(z.string()).describe(
      'kubernetes-token, aws-session, openbao-secret, mysql-user, https-login, ldap-login or keycloak-client',
    ),
    target: Slug,
    account: shown(z.string()),
    revocability: Revocability,
    validBefore: Instant.describe('ask again then'),
    residualBefore: Instant.nullable().describe('until when it may be taken for good although the grant ended'),
    about: shown(z.record(z.string(), z.string())).describe('where it is good: address, region, namespace'),
    values: z.record(z.string(), z.string()).describe('the credential itself'),
    signIn: z.string().optional().describe('a link into the target’s console, good for minutes'),
  })
  .meta({ id: 'HandedCredential' })
export type HandedCredential = z.output<typeof HandedCredential>

export const issueCredential = operation({
  id: 'credential.issue',
  method: 'POST',
  path: '/v1/grants/:grant/credentials',
  summary:
    'Hands out the credential of a grant on a target that its holder uses directly; the same one until it runs out.',
  function: 'nhi',
  resource: 'Grant',
  params: z.object({ grant: Id }),
  input: z.strictObject({
    signIn: shown(z.boolean()).default(false).describe('also a link into the target’s console, where it has one'),
  }),
  output: HandedCredential,
  status: 201,
  problems: [notFound, grantOver, proofTooWeak, useRefused, leaseRefused, leaseImpossible, leaseUnavailable],
})

export const issuedOperations: readonly Operation[] = [issueCredential]
