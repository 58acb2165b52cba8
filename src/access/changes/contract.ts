import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { Id } from '../../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { approvalOwed, conflict, notFound, notPermitted, problem } from '../../kernel/problem.ts'
import { alreadyApproved, boundChanged, noPossibleApprover, selfApproval } from '../problems.ts'
import { Sha256Hex } from '../schemas.ts'
import { AppliedChange, Change, ChangeDetail, ChangeState } from './schemas.ts'

export * from './schemas.ts'

export const changeOver = problem('change-over', 409, 'The change is over', { changeId: z.uuid(), state: ChangeState })
export const changeNotApproved = problem('change-not-approved', 409, 'The change is not approved yet', {
  changeId: z.uuid(),
  missing: z.array(z.string()).max(256),
})
export const changeApprovedAlready = problem('change-approved-already', 409, 'The change is approved already', {
  changeId: z.uuid(),
})

export const tooManyChanges = problem('too-many-changes', 409, 'Too many changes of one identity are open', {
  most: z.int(),
})

const oneChange = z.object({ change: Id })

export const ChangeQuery = PageQuery.extend({
  view: z.enum(['all', 'mine', 'inbox']).default('all').describe('inbox: pending ones the caller could approve'),
  state: ChangeState.optional(),
  order: z.enum(['newest', 'risk']).optional().describe('highest risk first in the inbox, newest first elsewhere'),
})
export type ChangeQuery = z.output<typeof ChangeQuery>
export const listChanges = operation({
  id: 'change.list',
  method: 'GET',
  path: '/v1/changes',
  summary: 'Lists calls that others have to approve: the inbox by risk, all others newest first.',
  function: 'governance',
  resource: 'Installation',
  query: ChangeQuery,
  output: pageOf(Change),
})
export const readChange = operation({
  id: 'change.read',
  method: 'GET',
  path: '/v1/changes/:change',
  summary: 'Reads one change: what it would do, who approved it, and what is missing.',
  function: 'governance',
  resource: 'Change',
  params: oneChange,
  output: ChangeDetail,
  problems: [notFound],
})
export const approveChange = operation({
  id: 'change.approve',
  method: 'POST',
  path: '/v1/changes/:change/approve',
  summary: 'Approves a call exactly as it was shown; who asked for it can then apply it, once.',
  function: 'governance',
  resource: 'Change',
  params: oneChange,
  input: z.strictObject({ boundSha256: Sha256Hex, comment: Reason.optional() }),
  output: Change,
  problems: [notFound, changeOver, changeApprovedAlready, selfApproval, alreadyApproved, boundChanged],
})
export const denyChange = operation({
  id: 'change.deny',
  method: 'POST',
  path: '/v1/changes/:change/deny',
  summary: 'Refuses a change for good, also one that is approved and not applied yet.',
  function: 'governance',
  resource: 'Change',
  params: oneChange,
  input: z.strictObject({ comment: Reason.optional() }),
  output: Change,
  problems: [notFound, changeOver, selfApproval, alreadyApproved],
})
export const withdrawChange = operation({
  id: 'change.withdraw',
  method: 'POST',
  path: '/v1/changes/:change/withdraw',
  summary: 'Takes a change back before it is applied.',
  function: 'governance',
  resource: 'Change',
  params: oneChange,
  output: Change,
  problems: [notFound, changeOver],
})
export const applyChange = operation({
  id: 'change.apply',
  method: 'POST',
  path: '/v1/changes/:change/apply',
  summary: 'Runs the call that was approved. It is decided again, and any difference to what was approved voids it.',
  function: 'governance',
  resource: 'Change',
  params: oneChange,
  output: AppliedChange,
  problems: [notFound, changeOver, changeNotApproved, boundChanged, conflict],
})

/** What any call may end in that asks for approval or brings one. */
export const CHANGE_PROBLEMS = [
  approvalOwed,
  notPermitted,
  noPossibleApprover,
  tooManyChanges,
  boundChanged,
  changeOver,
  changeNotApproved,
]

export const changeOperations: readonly Operation[] = [
  listChanges,
  readChange,
  approveChange,
  denyChange,
  withdrawChange,
  applyChange,
]
