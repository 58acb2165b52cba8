import { transact, type Db } from '../../kernel/db.ts'
import { every } from '../../kernel/timer.ts'
import { LeaseBusy, LeaseFailure, NotWanted } from '../writer.ts'
import { moveCampaigns } from './campaign.ts'
import { claimDue, recordFailure, recordWaiting, Waiting, type Claimed } from './claim.ts'
import { reachRotation } from './fault-points.ts'
import { endAsBehind } from './fence.ts'
import type { RotationNeeds } from './needs.ts'
import { startAged } from './occasions.ts'
import { RecordBehind } from './rotator.ts'
import { startDue } from './start.ts'
import { carryOn } from './steps.ts'

/** The look for due rotations is one probe of a small index. */
const LOOK_MS = 500
const SCHEDULES_MS = 30_000
const CAMPAIGNS_MS = 1_000
const AT_ONCE = 8
/** Shorter than a claim: nobody works on a rotation that another one may have claimed since. */
const ATTEMPT_MS = 45_000

/** Carries rotations on until it is disposed. Any number of nodes may run it. */
export type RunningRotations = AsyncDisposable & {
  /** Looks now: one was started, or somebody asked to go on. */
  wake(): void
}

export function runRotations(db: Db, needs: RotationNeeds): RunningRotations {
  const stop = new AbortController()
  const working = new Set<Promise<void>>()
  let looking: Promise<void> | undefined
  const look = () => {
    if (stop.signal.aborted || looking) return
    looking = takeDue(db, needs, AT_ONCE - working.size, (claimed) => {
      const work = workOn(db, needs, claimed, stop.signal).finally(() => {
        working.delete(work)
        look()
      })
      working.add(work)
    })
      .catch((error: unknown) => needs.log.error({ err: error }, 'open rotations could not be looked up'))
      .finally(() => {
        looking = undefined
      })
  }
  const schedules = () =>
    void startWhatIsDue(db, needs).catch((error: unknown) =>
      needs.log.error({ err: error }, 'rotations that are due could not be started'),
    )
  let moving: Promise<void> | undefined
  const campaigns = () => {
    moving ??= moveCampaigns(db, needs)
      .catch((error: unknown) => needs.log.error({ err: error }, 'a rotation of many could not be moved on'))
      .finally(() => {
        moving = undefined
      })
  }
  const timers = [every(LOOK_MS, look), every(SCHEDULES_MS, schedules), every(CAMPAIGNS_MS, campaigns)]
  return {
    wake: look,
    async [Symbol.asyncDispose]() {
      for (const timer of timers) timer[Symbol.dispose]()
      stop.abort(new Error('this node stops'))
      await looking
      await moving
      await Promise.all(working)
    },
  }
}

async function takeDue(db: Db, needs: RotationNeeds, room: number, take: (claimed: Claimed) => void): Promise<void> {
  if (room <= 0) return
  for (const claimed of await claimDue(db, needs, room)) take(claimed)
}

/** One look at everything that is due now, for tools and tests: resolves when all of it was tried once. */
export async function settleRotations(db: Db, needs: RotationNeeds, signal: AbortSignal): Promise<void> {
  await startWhatIsDue(db, needs)
  for (;;) {
    await moveCampaigns(db, needs)
    const claimed = await claimDue(db, needs, AT_ONCE)
    if (claimed.length === 0) return
    await Promise.all(claimed.map((each) => workOn(db, needs, each, signal)))
  }
}

async function startWhatIsDue(db: Db, needs: RotationNeeds): Promise<void> {
  await transact(db, (tx) => startDue(tx, needs))
  await transact(db, (tx) => startAged(tx, needs))
}

/** Never rejects: what went wrong is on the row, and the rotation stays open. */
async function workOn(db: Db, needs: RotationNeeds, claimed: Claimed, signal: AbortSignal): Promise<void> {
  try {
    await reachRotation('rotation.claimed')
    await carryOn(db, needs, claimed, AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]))
  } catch (error) {
    if (signal.aborted || error instanceof NotWanted || error instanceof LeaseBusy) return
    if (error instanceof Waiting) await noteWaiting(db, needs, claimed, error)
    else if (error instanceof RecordBehind) await noteBehind(db, needs, claimed, error)
    else await noteFailure(db, needs, claimed, error)
  }
}

async function noteWaiting(db: Db, needs: RotationNeeds, claimed: Claimed, waiting: Waiting): Promise<void> {
  try {
    await recordWaiting(db, needs, claimed, waiting)
  } catch (again) {
    if (again instanceof NotWanted) return
    needs.log.error({ err: again, rotationId: claimed.id }, 'what a rotation waits for could not be noted')
  }
}

async function noteBehind(db: Db, needs: RotationNeeds, claimed: Claimed, error: RecordBehind): Promise<void> {
  needs.log.error({ err: error, rotationId: claimed.id }, 'the record is behind the target: nothing was ended')
  try {
    await endAsBehind(db, needs, claimed)
  } catch (again) {
    if (again instanceof NotWanted) return
    needs.log.error({ err: again, rotationId: claimed.id }, 'a fenced rotation could not be ended')
  }
}

async function noteFailure(db: Db, needs: RotationNeeds, claimed: Claimed, error: unknown): Promise<void> {
  const facts = { err: error, rotationId: claimed.id, attempts: claimed.attempts }
  if (claimed.escalation === 'none') needs.log.warn(facts, 'a rotation could not be carried on; it stays open')
  else needs.log.error(facts, 'a rotation has not come to its end for a long time')
  const sentence = error instanceof LeaseFailure ? error.message : 'something unexpected happened, see the log'
  try {
    await recordFailure(db, needs, claimed, sentence)
  } catch (again) {
    if (!(again instanceof NotWanted)) needs.log.error({ ...facts, err: again }, 'a failed rotation could not be noted')
  }
}
