import type { z } from 'zod'
import type { FastifyRequest } from 'fastify'
import { invalidInput } from '../problem.ts'
import type { StepUpShown } from '../step-up.ts'
import type { AskedCall } from './approval.ts'

/** Asks the person behind a call for a fresh proof, for exactly this call, instead of being refused. Its value is `1`. */
export const REQUEST_STEP_UP = 'reeve-request-step-up'
/** Names the proof that was given: the same call, once more. */
export const STEP_UP = 'reeve-step-up'

/** A fresh proof that is good for one call, once. */
export type StepUpRedeemed = {
  readonly shown: StepUpShown
  /** Runs the call and spends the proof with it: in the same transaction where the call writes, before it where it streams. */
  spend(run: () => Promise<unknown>): Promise<unknown>
}

/** How people are asked for fresh proofs. What is kept of it in between is somebody else's to know. */
export type StepUps = {
  /** What `ask` answers with. */
  readonly output: z.ZodType
  /** Puts exactly this call before its person. Nothing runs. */
  ask(asked: AskedCall, changeId: string | null): Promise<unknown>
  /** The proof, if it is for this very call. Throws a problem when it is not, or not any more. */
  redeem(asked: AskedCall, changeId: string | null, stepUpId: string): Promise<StepUpRedeemed>
}

type StepUpSaid =
  | { readonly kind: 'none' }
  | { readonly kind: 'wanted' }
  | { readonly kind: 'given'; readonly stepUpId: string }

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What a request says about a fresh proof of its person. */
export function stepUpOf({ headers }: Pick<FastifyRequest, 'headers'>): StepUpSaid {
  const { [REQUEST_STEP_UP]: wanted, [STEP_UP]: given } = headers
  if (wanted === undefined && given === undefined) return { kind: 'none' }
  if (wanted !== undefined && given !== undefined) {
    throw refused('Either ask for a step-up or name the one that was given, not both.')
  }
  if (given === undefined) {
    if (wanted === '1') return { kind: 'wanted' }
    throw refused('Reeve-Request-Step-Up is 1.')
  }
  if (typeof given === 'string' && UUID.test(given)) return { kind: 'given', stepUpId: given }
  throw refused('Reeve-Step-Up is the id of a step-up.')
}

function refused(detail: string) {
  return invalidInput(detail, { issues: [] })
}
