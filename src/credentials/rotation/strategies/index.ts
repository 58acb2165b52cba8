import type { Rotation } from '../contract.ts'
import { alternating } from './alternating.ts'
import { byHand } from './by-hand.ts'
import { brokerOnly, cutOver } from './cut-over.ts'
import { dualSlot } from './dual-slot.ts'
import { retainOld } from './retain-old.ts'
import { restartHook } from './restart-hook.ts'
import type { LoginRotator } from '../rotator.ts'
import type { Strategy } from './strategy.ts'

/** Every way to rotate. */
const STRATEGIES: readonly Strategy[] = [cutOver, alternating, dualSlot, retainOld, restartHook, brokerOnly, byHand]

export function strategyOf(name: Rotation['strategy']): Strategy | undefined {
  return STRATEGIES.find((each) => each.name === name)
}

/** How the login is rotated by which Reeve itself works at a target. */
export function strategyOfProvisioner({ slots }: LoginRotator): Strategy {
  return slots ? dualSlot : cutOver
}
