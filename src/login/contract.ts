import { z } from 'zod'
import { Reason } from '../identities/contract.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../kernel/problem.ts'
import { passkeyOperations } from './passkeys/contract.ts'
import { CreateLoginLink, LoginLink, LoginSession } from './schemas.ts'
import { stepUpOperations } from './step-up/contract.ts'

export * from './schemas.ts'
export { readStepUp, StepUp, STEP_UP_PROBLEMS } from './step-up/contract.ts'

const ofIdentity = z.object({ identity: Slug.describe('name or id') })

export const listLoginSessions = operation({
  id: 'login-session.list',
  method: 'GET',
  path: '/v1/identities/:identity/login-sessions',
  summary: 'Lists the logins of a person, the latest last.',
  function: 'iam',
  resource: 'Identity',
  params: ofIdentity,
  query: PageQuery,
  output: pageOf(LoginSession),
  problems: [notFound],
})
export const endLoginSession = operation({
  id: 'login-session.end',
  method: 'POST',
  path: '/v1/login-sessions/:session/end',
  summary: 'Ends a login now, with everything that was given for it.',
  function: 'iam',
  resource: 'LoginSession',
  params: z.object({ session: Id }),
  input: z.strictObject({ reason: Reason.optional() }),
  output: LoginSession,
  problems: [notFound, conflict],
})
export const createLoginLink = operation({
  id: 'login-link.create',
  method: 'POST',
  path: '/v1/identities/:identity/login-links',
  summary: 'Lets what a provider calls one subject log in as a person.',
  function: 'iam',
  resource: 'Identity',
  params: ofIdentity,
  input: CreateLoginLink,
  output: LoginLink,
  status: 201,
  rate: 'tight',
  problems: [notFound, conflict, invalidInput],
})
export const listLoginLinks = operation({
  id: 'login-link.list',
  method: 'GET',
  path: '/v1/identities/:identity/login-links',
  summary: 'Lists by which subjects of providers a person logs in.',
  function: 'iam',
  resource: 'Identity',
  params: ofIdentity,
  query: PageQuery,
  output: pageOf(LoginLink),
  problems: [notFound],
})
export const retireLoginLink = operation({
  id: 'login-link.retire',
  method: 'POST',
  path: '/v1/login-links/:link/retire',
  summary: 'Lets a subject of a provider log in no more, and ends the logins it made.',
  function: 'iam',
  resource: 'LoginLink',
  params: z.object({ link: Id }),
  input: z.strictObject({ reason: Reason }),
  output: LoginLink,
  problems: [notFound, conflict],
})

export const loginOperations: readonly Operation[] = [
  listLoginSessions,
  endLoginSession,
  createLoginLink,
  listLoginLinks,
  retireLoginLink,
  ...passkeyOperations,
  ...stepUpOperations,
]
