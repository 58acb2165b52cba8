/** Asking for what an enforcement point was denied (AuthZEN Access Request and Approval Profile, draft of June 2026). */
import { z } from 'zod'
import { personal, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { invalidInput, notFound, notPermitted, problem } from '../../kernel/problem.ts'
import { evaluateDecision } from '../../policy/contract.ts'
import { noPossibleApprover, notDelegated, obligationsOwed, purposeDoesNotCover } from '../problems.ts'

const ERROR = 'urn:openid:authzen:access-request:error:'
export const notRequestable = problem(
  'not-requestable',
  400,
  'This cannot be asked for like this',
  {},
  `${ERROR}not_requestable`,
)
export const expiredDenial = problem('expired-denial', 410, 'The denial is too old', {}, `${ERROR}expired_denial`)
export const invalidDenialBinding = problem(
  'invalid-denial-binding',
  400,
  'The reference is none to a denial of this, to this caller',
  {},
  `${ERROR}invalid_denial_binding`,
)
export const unknownTask = problem('unknown-task', 404, 'There is no such task', {}, `${ERROR}unknown_task`)

const { subject, resource, action, context } = evaluateDecision.input.shape
const Text = z.string().max(2000)

/** What is not known in it is ignored, as the profile wants it. */
export const SubmittedDenial = z
  .looseObject({
    subject: subject.describe('as it was evaluated; the caller has to be it'),
    resource: resource.optional(),
    action: action.optional(),
    items: personal(z.array(z.unknown()).max(500)).optional().describe('several at once are refused'),
    context: context.describe('as it was evaluated, with the purpose, a justification and a ticket'),
    denial: shown(
      z.looseObject({
        evaluation_id: shown(Text).optional(),
        evaluated_at: shown(Text).optional(),
        expires_at: shown(Text),
        binding_token: shown(z.string().max(8000)).optional(),
      }),
    ).optional(),
    requested_access: shown(
      z.looseObject({ requested_until: Instant.optional(), emergency: shown(z.boolean()).optional() }),
    ).optional(),
    callback: personal(z.unknown()).optional().describe('is refused: ask the status endpoint'),
  })
  .meta({ id: 'AuthzenSubmission', classification: 'public' })
export type SubmittedDenial = z.output<typeof SubmittedDenial>

const STATUSES = ['pending', 'approved', 'denied', 'expired', 'cancelled', 'failed'] as const
export const Task = z
  .object({
    task: z.object({
      id: Id.describe('of the request, and of the evaluation that was denied'),
      status: shown(z.enum(STATUSES)),
      status_endpoint: shown(z.string()).describe('where to look for what becomes of it'),
      expires_at: Instant.describe('nobody decides on it later'),
      display: z.object({ title: shown(z.string()), description: shown(z.string()).nullable() }),
    }),
    result: z
      .object({
        mode: shown(z.literal('urn:reeve:mode:grant')).describe(
          'access is had through the gateways, by a ticket of this grant',
        ),
        grant: z.object({ id: Id, expires_at: Instant, ended_at: Instant.nullable() }),
      })
      .optional(),
  })
  .meta({ id: 'AuthzenTask' })
export type Task = z.output<typeof Task>

export const submitDenial = operation({
  id: 'access.submit',
  method: 'POST',
  path: '/access/v1/requests',
  standard: 'AuthZEN Access Request and Approval Profile (draft)',
  summary: 'Asks for what an enforcement point was denied for the caller; asked twice, it is one request.',
  function: 'pam',
  resource: 'Account',
  input: SubmittedDenial,
  output: Task,
  status: 201,
  problems: [
    notRequestable,
    expiredDenial,
    invalidDenialBinding,
    invalidInput,
    notFound,
    notPermitted,
    purposeDoesNotCover,
    obligationsOwed,
    noPossibleApprover,
    notDelegated,
  ],
})

export const readTask = operation({
  id: 'access.follow',
  method: 'GET',
  path: '/access/v1/requests/:request',
  standard: 'AuthZEN Access Request and Approval Profile (draft)',
  summary: 'Says what has become of what was asked for after a denial.',
  function: 'pam',
  resource: 'AccessRequest',
  params: z.object({ request: Id }),
  output: Task,
  problems: [unknownTask, notFound],
})

export const denialOperations: readonly Operation[] = [submitDenial, readTask]
