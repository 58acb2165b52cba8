import { z } from 'zod'
import { Id } from '../../kernel/ids.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { notFound } from '../../kernel/problem.ts'
import {
  noPersonToAsk,
  stepUpMismatch,
  stepUpNotOwed,
  stepUpNotProven,
  stepUpOver,
  tooManyStepUps,
} from './problems.ts'
import { StepUp } from './schemas.ts'

export { StepUp } from './schemas.ts'

export const listStepUps = operation({
  id: 'step-up.list',
  method: 'GET',
  path: '/v1/step-ups',
  summary: 'Lists what waits for a fresh proof of yours, with the code for each.',
  function: 'iam',
  resource: 'Identity',
  output: z.object({ items: z.array(StepUp).max(50) }),
})
export const readStepUp = operation({
  id: 'step-up.read',
  method: 'GET',
  path: '/v1/step-ups/:stepUp',
  summary: 'Says whether a person has shown that it is them.',
  function: 'iam',
  resource: 'StepUp',
  params: z.object({ stepUp: Id }),
  output: StepUp,
  problems: [notFound],
})

export const stepUpOperations: readonly Operation[] = [listStepUps, readStepUp]

/** What a call may end in that asks for a fresh proof or comes with one. */
export const STEP_UP_PROBLEMS = [
  noPersonToAsk,
  stepUpNotOwed,
  stepUpNotProven,
  stepUpOver,
  stepUpMismatch,
  tooManyStepUps,
]
