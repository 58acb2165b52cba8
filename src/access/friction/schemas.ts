import { z } from 'zod'
import { Mode } from '../../catalog/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { ActionName } from '../schemas.ts'

const Count = shown(z.int().min(0))
const Seconds = shown(z.number().min(0)).nullable()

/** What one action cost those who wanted it, and what observing it said enforcing would cost. */
const ActionFriction = z.object({
  action: ActionName,
  asked: Count,
  waited: Count.describe('granted after somebody had to decide'),
  medianWait: Seconds.describe('seconds from asked to granted, of those that waited'),
  longestWait: Seconds,
  unanswered: Count.describe('nobody decided in time'),
  refused: Count.describe('at once, by a person, or by time'),
  grantedLater: Count.describe('of those: the same subject got the same account and action afterwards'),
  waived: Count.describe('requests that enforcing would have stopped or made wait'),
  operationsRefused: Count,
  wouldRefuse: Count.describe('operations that went through and that enforcing would have refused'),
  held: Count.describe('operations that waited for another person'),
  heldInVain: Count.describe('of those: not released'),
  jobsBroken: Count.describe('sessions of machines, workloads and agents with a refused operation'),
})
export type ActionFriction = z.output<typeof ActionFriction>

export const FrictionReport = z
  .object({
    targetId: Id,
    target: Slug,
    mode: Mode.describe('now'),
    from: Instant,
    to: Instant,
    items: z.array(ActionFriction).max(200),
    sessionsEnded: Count.describe('grants in use that a second look ended'),
    jobsEnded: Count.describe('of those: of machines, workloads and agents'),
    warnings: shown(z.array(z.string())).describe('what could not be counted'),
  })
  .meta({ id: 'FrictionReport' })
export type FrictionReport = z.output<typeof FrictionReport>

export const FrictionQuery = z.object({
  days: z.coerce.number().int().min(1).max(90).default(30).describe('how far back'),
})
