import { z } from 'zod'
import { Id, Slug } from '../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, nameTaken, notFound } from '../kernel/problem.ts'
import {
  Account,
  AccountDetail,
  AccountQuery,
  ActionEntry,
  ProposePurpose,
  Purpose,
  PurposeQuery,
  Reason,
  RegisterAccount,
  RegisterTarget,
  SetMode,
  Target,
  TargetQuery,
  UpdateTarget,
  continuesAtTier0,
  enforcesAtTier0,
  ownPurpose,
  targetUnreachable,
} from './schemas.ts'

export * from './schemas.ts'

const oneTarget = z.object({ target: Slug.describe('name or id') })
const oneAccount = z.object({ account: Id })
const onePurpose = z.object({ purpose: Slug.describe('name or id') })

export const listActions = operation({
  id: 'action.list',
  method: 'GET',
  path: '/v1/actions',
  summary: 'Lists the catalog of privileged actions.',
  function: 'pam',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(ActionEntry),
})
export const listTargets = operation({
  id: 'target.list',
  method: 'GET',
  path: '/v1/targets',
  summary: 'Lists the systems that can be reached.',
  function: 'pam',
  resource: 'Installation',
  query: TargetQuery,
  output: pageOf(Target),
})
export const readTarget = operation({
  id: 'target.read',
  method: 'GET',
  path: '/v1/targets/:target',
  summary: 'Reads one target.',
  function: 'pam',
  resource: 'Target',
  params: oneTarget,
  output: Target,
  problems: [notFound],
})
export const registerTarget = operation({
  id: 'target.register',
  method: 'POST',
  path: '/v1/targets',
  summary: 'Registers a system that can be reached.',
  function: 'pam',
  resource: 'Installation',
  input: RegisterTarget,
  output: Target,
  status: 201,
  problems: [nameTaken, invalidInput, continuesAtTier0],
})
export const updateTarget = operation({
  id: 'target.update',
  method: 'PATCH',
  path: '/v1/targets/:target',
  summary: 'Changes a target.',
  function: 'pam',
  resource: 'Target',
  params: oneTarget,
  input: UpdateTarget,
  output: Target,
  problems: [notFound, conflict, invalidInput, continuesAtTier0],
})
export const setTargetMode = operation({
  id: 'target.set-mode',
  method: 'POST',
  path: '/v1/targets/:target/mode',
  summary: 'Changes how strictly a target holds what is decided: observe, warn or enforce.',
  function: 'pam',
  resource: 'Target',
  params: oneTarget,
  input: SetMode,
  output: Target,
  problems: [notFound, conflict, enforcesAtTier0],
})
export const retireTarget = operation({
  id: 'target.retire',
  method: 'POST',
  path: '/v1/targets/:target/retire',
  summary: 'Ends a target for good, with every grant on it.',
  function: 'pam',
  resource: 'Target',
  params: oneTarget,
  input: z.strictObject({ reason: Reason }),
  output: Target,
  problems: [notFound, conflict],
})
export const surveyTarget = operation({
  id: 'target.survey',
  method: 'POST',
  path: '/v1/targets/:target/survey',
  summary: 'Reads which accounts stand at a target and keeps what was seen.',
  function: 'nhi',
  resource: 'Target',
  params: oneTarget,
  output: z.object({ seen: z.int(), added: z.int(), unclaimed: z.int() }),
  problems: [notFound, conflict, targetUnreachable],
})
export const listAccounts = operation({
  id: 'account.list',
  method: 'GET',
  path: '/v1/targets/:target/accounts',
  summary: 'Lists the accounts of a target, registered and seen.',
  function: 'nhi',
  resource: 'Target',
  params: oneTarget,
  query: AccountQuery,
  output: pageOf(Account),
  problems: [notFound],
})
export const readAccount = operation({
  id: 'account.read',
  method: 'GET',
  path: '/v1/accounts/:account',
  summary: 'Reads one account.',
  function: 'nhi',
  resource: 'Account',
  params: oneAccount,
  output: AccountDetail,
  problems: [notFound],
})
export const registerAccount = operation({
  id: 'account.register',
  method: 'POST',
  path: '/v1/targets/:target/accounts',
  summary: 'Registers an account of a target to act as.',
  function: 'pam',
  resource: 'Target',
  params: oneTarget,
  input: RegisterAccount,
  output: AccountDetail,
  status: 201,
  problems: [notFound, conflict, nameTaken, invalidInput],
})
export const claimAccount = operation({
  id: 'account.claim',
  method: 'POST',
  path: '/v1/accounts/:account/claim',
  summary: 'Says which identity an account belongs to.',
  function: 'nhi',
  resource: 'Account',
  params: oneAccount,
  input: z.strictObject({ identity: Slug.describe('name or id') }),
  output: AccountDetail,
  problems: [notFound, conflict],
})
export const retireAccount = operation({
  id: 'account.retire',
  method: 'POST',
  path: '/v1/accounts/:account/retire',
  summary: 'Ends an account for good, with every grant on it. At the target it stays as it is.',
  function: 'pam',
  resource: 'Account',
  params: oneAccount,
  input: z.strictObject({ reason: Reason }),
  output: AccountDetail,
  problems: [notFound, conflict],
})
export const listPurposes = operation({
  id: 'purpose.list',
  method: 'GET',
  path: '/v1/purposes',
  summary: 'Lists the registered purposes.',
  function: 'governance',
  resource: 'Installation',
  query: PurposeQuery,
  output: pageOf(Purpose),
})
export const readPurpose = operation({
  id: 'purpose.read',
  method: 'GET',
  path: '/v1/purposes/:purpose',
  summary: 'Reads one purpose.',
  function: 'governance',
  resource: 'Purpose',
  params: onePurpose,
  output: Purpose,
  problems: [notFound],
})
export const proposePurpose = operation({
  id: 'purpose.propose',
  method: 'POST',
  path: '/v1/purposes',
  summary: 'Proposes a reason to act: which actions on which targets, until when.',
  function: 'governance',
  resource: 'Installation',
  input: ProposePurpose,
  output: Purpose,
  status: 201,
  problems: [nameTaken, notFound, invalidInput],
})
export const approvePurpose = operation({
  id: 'purpose.approve',
  method: 'POST',
  path: '/v1/purposes/:purpose/approve',
  summary: 'Approves a purpose that somebody else proposed.',
  function: 'governance',
  resource: 'Purpose',
  params: onePurpose,
  output: Purpose,
  problems: [notFound, conflict, ownPurpose],
})
export const endPurpose = operation({
  id: 'purpose.end',
  method: 'POST',
  path: '/v1/purposes/:purpose/end',
  summary: 'Ends a purpose, with every grant that stands on it.',
  function: 'governance',
  resource: 'Purpose',
  params: onePurpose,
  input: z.strictObject({ reason: Reason }),
  output: Purpose,
  problems: [notFound, conflict],
})

export const catalogOperations: readonly Operation[] = [
  listActions,
  listTargets,
  readTarget,
  registerTarget,
  updateTarget,
  setTargetMode,
  retireTarget,
  surveyTarget,
  listAccounts,
  readAccount,
  registerAccount,
  claimAccount,
  retireAccount,
  listPurposes,
  readPurpose,
  proposePurpose,
  approvePurpose,
  endPurpose,
]
