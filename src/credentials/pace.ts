import type { Random } from '../kernel/random.ts'
import type { Lease } from './contract.ts'

/** A claimed lease is left alone this long; a killed worker's claim runs out by itself. Longer than an ordinary end takes. */
export const CLAIM_MS = 60_000
/** There is no last attempt, only a slowest pace. */
const SLOWEST_MS = 300_000
/** A target that is down is asked by one connection for all its leases, so it can be asked oftener. */
const SLOWEST_DOWN_MS = 15_000
const FIRST_MS = 1_000
/** Of the pause, so that what failed together does not come back together. */
const JITTER = 0.2

/** When a lease is not dead this long after its end began, its owner should know; later, security. */
const OWNER_AFTER_MS = 15 * 60_000
const SECURITY_AFTER_MS = 4 * 3_600_000

/** The pause after `attempts` failures: 1 s, doubled each time, five minutes at most, give or take a fifth. */
export function pauseMs(random: Random, attempts: number, slowestMs = SLOWEST_MS): number {
  const wholeMs = Math.min(FIRST_MS * 2 ** Math.min(Math.max(attempts - 1, 0), 30), slowestMs)
  const spread = (random.bytes(4).readUInt32BE() / 0xff_ff_ff_ff) * 2 - 1
  return Math.round(wholeMs * (1 + JITTER * spread))
}

/** As `pauseMs` for a target that is down: a quarter of a minute at most, so that what is due is dead within a minute of its return. */
export function downPauseMs(random: Random, attempts: number): number {
  return pauseMs(random, attempts, SLOWEST_DOWN_MS)
}

/** Who should know by now. */
export function escalationAt(endingAt: Date, now: Date): Lease['escalation'] {
  const openMs = now.getTime() - endingAt.getTime()
  if (openMs >= SECURITY_AFTER_MS) return 'security'
  return openMs >= OWNER_AFTER_MS ? 'owner' : 'none'
}
