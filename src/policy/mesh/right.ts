import type { Clock } from '../../kernel/clock.ts'
import type { Caller, Resource } from '../../kernel/http/route.ts'
import type { View } from '../../kernel/view.ts'

export type RightNeeds = {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly view: Pick<View, 'heard' | 'isCurrent'>
  /** Names the policies that decide now. */
  readonly epoch: () => string
  /** Throws unless the caller may ask this. */
  readonly decide: (caller: Caller, question: Resource) => Promise<unknown>
}

/** Policies may look at the clock, and teams change without a hint: a right is decided again after this. */
const HELD_MS = 250

type Held = {
  readonly heard: number
  readonly epoch: string
  readonly callerId: string
  readonly proofId: string
  readonly untilMs: number
}

/**
 * Whether an enforcement point may ask, decided once for as long as it shows the same token, the same policies decide, and nothing was heard of
 * any change of the record. Only a permit is held, and nothing while this node cannot tell whether it has heard everything.
 */
export function holdRight(needs: RightNeeds): (caller: Caller, question: Resource) => Promise<void> {
  const { clock, view, epoch, decide } = needs
  const held = new WeakMap<Resource, Held>()
  const stands = (caller: Caller, right: Held) =>
    view.isCurrent() &&
    right.heard === view.heard() &&
    right.epoch === epoch() &&
    right.callerId === caller.id &&
    right.proofId === caller.proofId &&
    clock.monotonicMs() < right.untilMs
  return async (caller, question) => {
    const right = held.get(question)
    if (right && stands(caller, right)) return
    // Before anything is read: what is heard meanwhile makes it old.
    const made = { heard: view.heard(), epoch: epoch(), untilMs: clock.monotonicMs() + HELD_MS }
    held.delete(question)
    await decide(caller, question)
    held.set(question, { ...made, callerId: caller.id, proofId: caller.proofId })
  }
}
