import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { Approval, DeterminingPolicy, Owed, ReviewRisk, Sha256Hex } from '../schemas.ts'

const CHANGE_STATES = ['pending', 'approved', 'used', 'denied', 'expired', 'withdrawn', 'void'] as const
export const ChangeState = shown(z.enum(CHANGE_STATES))
export type ChangeState = z.output<typeof ChangeState>

const Name = shown(z.string().min(1).max(128))
const Sentence = shown(z.string().max(2000))
const Json = shown(z.record(z.string(), z.unknown()))

/** The type and id of what a call is about. */
const ChangedResource = z
  .object({ type: Name, id: shown(z.string().max(128)) })
  .meta({ id: 'ChangedResource', classification: 'public' })

/** A call of an operation that others have to approve before it runs. */
export const Change = z
  .object({
    id: Id,
    operation: Name,
    resource: ChangedResource,
    requesterId: Id,
    requester: Slug,
    reason: Reason,
    params: Json,
    query: Json,
    input: Json.describe('what of the input may be shown'),
    hidden: shown(z.array(z.string()).max(256)).describe('parts of the input that are personal or secret'),
    obligations: Owed,
    policies: z.array(DeterminingPolicy).meta({ classification: 'public' }),
    policyVersion: Name,
    boundSha256: Sha256Hex.describe('hash of the call, of what is shown of it, and of the policies that decided'),
    state: ChangeState,
    refusal: Sentence.nullable(),
    createdAt: Instant,
    expiresAt: Instant.describe('a pending one must be approved by then, an approved one used'),
    decidedAt: Instant.nullable(),
    usedAt: Instant.nullable(),
    review: ReviewRisk.nullable().describe('as it was last weighed for its approvers; null before that'),
    version: shown(z.int().min(0)),
  })
  .meta({ id: 'Change' })
export type Change = z.output<typeof Change>

/** A change as somebody who decides on it sees it. */
export const ChangeDetail = Change.extend({
  preview: shown(z.array(z.string())).describe('what it would do'),
  simulation: shown(z.array(z.string())).describe(
    'what it would have meant for recorded decisions, found when it was asked',
  ),
  resourceFacts: Json.describe('what policies were told of the resource'),
  approvals: z.array(Approval),
  missing: shown(z.array(Sentence)).describe('ways to open the gate, shortest first; empty when it is open'),
}).meta({ id: 'ChangeDetail' })
export type ChangeDetail = z.output<typeof ChangeDetail>

/** What came of a change that was applied: the answer is the operation's own. */
export const AppliedChange = z
  .object({ change: Change, answer: z.unknown().describe('what the operation answered') })
  .meta({ id: 'AppliedChange' })
