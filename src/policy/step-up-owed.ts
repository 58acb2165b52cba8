import { ACR_VALUES, STEP_UP_SECONDS } from '../kernel/step-up.ts'
import { insufficientUserAuthentication, type Problem } from '../kernel/problem.ts'
import type { Obligations } from './obligations.ts'

/** What a caller is told whose act owes a fresh proof of its person: how strong, how fresh, and how to ask for it. */
export function stepUpOwed(action: string, owed: Obligations['stepUp'], decisionId: string): Problem {
  const level = owed === 'none' ? 'mfa' : owed
  return insufficientUserAuthentication(
    `${action} owes a fresh ${level} proof of the person here. Make the same call with Reeve-Request-Step-Up: 1, and they are shown exactly what it does.`,
    { action, level, acrValues: [...ACR_VALUES[level]], maxAgeSeconds: STEP_UP_SECONDS, decisionId },
  )
}
