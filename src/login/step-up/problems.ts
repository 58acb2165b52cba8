import { z } from 'zod'
import { problem } from '../../kernel/problem.ts'
import { StepUpState } from './schemas.ts'

export const stepUpNotOwed = problem('step-up-not-owed', 409, 'The call owes no step-up', { operation: z.string() })
export const noPersonToAsk = problem('no-person-to-ask', 409, 'There is no person who could step up', {
  identity: z.string(),
})
export const tooManyStepUps = problem('too-many-step-ups', 409, 'Too many step-ups wait', { most: z.int() })
/** Also of one that nobody may know of: a code that is tried out learns nothing. */
export const stepUpOver = problem('step-up-over', 409, 'The step-up is over', { state: StepUpState })
export const stepUpNotProven = problem('step-up-not-proven', 409, 'The person has not answered yet', {
  stepUpId: z.uuid(),
})
export const stepUpMismatch = problem('step-up-mismatch', 409, 'The person proved themselves for something else', {
  stepUpId: z.uuid(),
})
