import { z } from 'zod'
import { Id } from '../../kernel/ids.ts'
import { operation, pageOf } from '../../kernel/operation.ts'
import { notFound } from '../../kernel/problem.ts'
import { alreadyApproved, selfApproval } from '../problems.ts'
import { Hold, HoldDetail, holdBoundChanged, holdOver, HoldQuery, RefuseHold, ReleaseHold } from './schemas.ts'

export * from './schemas.ts'

const oneHold = z.object({ hold: Id })

export const listHolds = operation({
  id: 'hold.list',
  method: 'GET',
  path: '/v1/holds',
  summary: 'Lists operations that wait for another person, or waited.',
  function: 'pam',
  resource: 'Installation',
  query: HoldQuery,
  output: pageOf(Hold),
})
export const readHold = operation({
  id: 'hold.read',
  method: 'GET',
  path: '/v1/holds/:hold',
  summary: 'Reads one held operation, and what is missing to release it.',
  function: 'pam',
  resource: 'Hold',
  params: oneHold,
  output: HoldDetail,
  problems: [notFound],
})
export const releaseHold = operation({
  id: 'hold.release',
  method: 'POST',
  path: '/v1/holds/:hold/release',
  summary: 'Lets exactly this operation run, once.',
  function: 'pam',
  resource: 'Hold',
  params: oneHold,
  input: ReleaseHold,
  output: Hold,
  problems: [notFound, holdOver, holdBoundChanged, selfApproval, alreadyApproved],
})
export const refuseHold = operation({
  id: 'hold.refuse',
  method: 'POST',
  path: '/v1/holds/:hold/refuse',
  summary: 'Refuses a held operation: it fails, and the session goes on.',
  function: 'pam',
  resource: 'Hold',
  params: oneHold,
  input: RefuseHold,
  output: Hold,
  problems: [notFound, holdOver, selfApproval, alreadyApproved],
})

export const holdOperations = [listHolds, readHold, releaseHold, refuseHold] as const
