import type { FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Operation } from '../operation.ts'
import type { Permit } from '../permit.ts'
import { invalidInput } from '../problem.ts'
import type { Call, Resource, Route } from './route.ts'

/** Asks others to approve the call, with the reason, instead of being refused. Percent-encoded UTF-8 (RFC 3986 §2.1). */
export const REQUEST_APPROVAL = 'reeve-request-approval'
/** Names what others approved: the same call, once more. */
export const CHANGE = 'reeve-change'

/** What a call says, as it came: before any schema gave it defaults or read instants. */
export type Wire = {
  readonly params: Readonly<Record<string, unknown>>
  readonly query: Readonly<Record<string, unknown>>
  readonly input: unknown
}

/** A call with the route it goes to. */
export type AskedCall = { readonly route: Route; readonly call: Call<Operation>; readonly wire: Wire }

/** The right to run one call once. */
export type Redeemed = {
  readonly permit: Permit
  readonly resource: Resource
  /** Runs the call and spends the approval with it: in the same transaction where the call writes, before it where it streams. */
  spend(run: () => Promise<unknown>): Promise<unknown>
}

/** How others agree to a call that owes their approval. What is kept of it in between is somebody else's to know. */
export type Approvals = {
  /** What `ask` answers with. */
  readonly output: z.ZodType
  /** Puts exactly this call before those who may approve it. Nothing runs. */
  ask(asked: AskedCall, reason: string): Promise<unknown>
  /** The right to run this call because it is what was approved. Throws a problem when it is not, or not any more. */
  redeem(asked: AskedCall, changeId: string): Promise<Redeemed>
}

type Approval =
  | { readonly kind: 'none' }
  | { readonly kind: 'wanted'; readonly reason: string }
  | { readonly kind: 'given'; readonly changeId: string }

const SHORTEST_REASON = 3
const LONGEST_REASON = 500
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What a request says about the approval of others. */
export function approvalOf({ headers }: Pick<FastifyRequest, 'headers'>): Approval {
  const { [REQUEST_APPROVAL]: wanted, [CHANGE]: given } = headers
  if (wanted === undefined && given === undefined) return { kind: 'none' }
  if (wanted !== undefined && given !== undefined) {
    throw refused('Either ask for approval or name the change that was approved, not both.')
  }
  if (given !== undefined) {
    if (typeof given === 'string' && UUID.test(given)) return { kind: 'given', changeId: given }
    throw refused('Reeve-Change is the id of a change.')
  }
  const reason = typeof wanted === 'string' ? decoded(wanted)?.trim() : undefined
  if (reason === undefined || reason.length < SHORTEST_REASON || reason.length > LONGEST_REASON) {
    throw refused(
      `Reeve-Request-Approval says why, in ${SHORTEST_REASON} to ${LONGEST_REASON} characters of percent-encoded UTF-8.`,
    )
  }
  return { kind: 'wanted', reason }
}

function decoded(text: string): string | undefined {
  try {
    const reason = decodeURIComponent(text)
    // oxlint-disable-next-line no-control-regex -- what approvers read on their terminals has none of these
    return /[\u0000-\u001f\u007f]/.test(reason) || !reason.isWellFormed() ? undefined : reason
  } catch {
    return undefined
  }
}

function refused(detail: string) {
  return invalidInput(detail, { issues: [] })
}
