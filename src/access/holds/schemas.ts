import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { PageQuery } from '../../kernel/operation.ts'
import { problem } from '../../kernel/problem.ts'
import { ActionName, Sha256Hex } from '../schemas.ts'

const HOLD_STATES = ['held', 'released', 'used', 'refused', 'expired', 'dropped'] as const
export const HoldState = shown(z.enum(HOLD_STATES))
export type HoldState = z.output<typeof HoldState>
const Text = shown(z.string().min(1).max(200))
const Comment = Reason.optional()

/** Longer than a person reads before they say yes. */
export const MOST_SHOWN = 20_000

/** One operation of a session that waits for another person, or waited. */
export const Hold = z
  .object({
    id: Id,
    grantId: Id,
    sessionId: Id,
    subjectId: Id,
    subject: Slug,
    onBehalfOfId: Id.nullable(),
    targetId: Id,
    target: Slug,
    account: Text,
    purpose: Slug,
    class: Text,
    action: ActionName,
    label: Text,
    statement: shown(z.string().max(MOST_SHOWN)).describe('what would run, without its values'),
    gates: shown(z.array(z.string()).max(64)).describe('approval expressions; all must be satisfied'),
    boundSha256: Sha256Hex.describe('hash of what is shown; who releases names it'),
    state: HoldState.describe('used: the release was spent; what became of it is in the recording'),
    refusal: shown(z.string().max(2000)).nullable(),
    createdAt: Instant,
    expiresAt: Instant,
    decidedAt: Instant.nullable(),
    usedAt: Instant.nullable(),
    version: shown(z.int().min(0)),
  })
  .meta({ id: 'Hold' })
export type Hold = z.output<typeof Hold>

const SaidOfHold = z
  .object({
    approverId: Id,
    approver: Slug,
    verdict: shown(z.enum(['release', 'refuse'])),
    boundSha256: Sha256Hex,
    comment: Reason.nullable(),
    at: Instant,
  })
  .meta({ id: 'SaidOfHold' })

/** A hold as somebody who decides on it sees it. */
export const HoldDetail = Hold.extend({
  said: z.array(SaidOfHold),
  missing: shown(z.array(z.string())).describe('ways to open the gate, shortest first; empty when it is open or over'),
}).meta({ id: 'HoldDetail' })
export type HoldDetail = z.output<typeof HoldDetail>

export const HoldQuery = PageQuery.extend({
  view: z
    .enum(['all', 'mine', 'inbox'])
    .default('all')
    .describe('mine: of my own sessions; inbox: what waits for me to decide'),
  state: HoldState.optional(),
})
export type HoldQuery = z.output<typeof HoldQuery>

export const ReleaseHold = z.strictObject({
  boundSha256: Sha256Hex.describe('of what was shown'),
  comment: Comment,
})
export const RefuseHold = z.strictObject({ comment: Comment })

export const holdOver = problem('hold-over', 409, 'The operation is held no more', {
  holdId: z.uuid(),
  state: HoldState,
})
export const holdBoundChanged = problem('hold-bound-changed', 409, 'What is held is not what was shown', {
  holdId: z.uuid(),
})
