import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { EventKind } from '../kernel/event.ts'
import type { EntityRef } from '../kernel/permit.ts'
import type { Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'

/** Who did it. `system` is Reeve itself: expiry, missed heartbeats, retries. */
export type Actor = { readonly id: string | null; readonly kind: 'human' | 'machine' | 'workload' | 'agent' | 'system' }

export const SYSTEM: Actor = { id: null, kind: 'system' }

/** How it went. An announced act without a later outcome is ambiguous and shown (rule 5). */
type Outcome = 'done' | 'refused' | 'failed' | 'announced' | 'ambiguous'

/** One canonical fact: who, on behalf of whom, what, on what, why, under which decision, with which outcome. */
export type Fact<Shape extends z.ZodRawShape = z.ZodRawShape> = {
  readonly event: EventKind<Shape>
  readonly actor: Actor
  readonly onBehalfOf?: readonly string[]
  readonly action?: string
  readonly resource: EntityRef
  readonly grantId?: string
  readonly purpose?: string
  readonly ticket?: string
  readonly decision?: { readonly id: string; readonly policyVersion: string }
  readonly outcome: Outcome
  /** Whose key seals the personal facts; the actor's own when left out. */
  readonly subjectId?: string
  readonly facts: z.output<z.ZodObject<Shape>>
}

export type Needs = { readonly clock: Clock; readonly random: Random; readonly seal: Seal }
