import { secondsAfter } from '../../../kernel/clock.ts'
import { LeaseFailure } from '../../writer.ts'
import type { Claimed } from '../claim.ts'
import { reachRotation } from '../fault-points.ts'
import { keptLogin } from '../login.ts'
import type { Slots, TargetLogin } from '../rotator.ts'
import { keepMade } from './acts.ts'
import type { Strategy, Work } from './strategy.ts'

/** Keys of one principal that the target knows at once. */
const SLOTS = 2
/** Our clock and the target's may differ by this. */
const SKEW_SECONDS = 300

/**
 * The target makes keys and knows two at once. It alone tells the new secret, and once: what a killed process did not seal is lost, and is taken away
 * before another one is made. Only a key that was made since this rotation began and never used is taken for such a one.
 */
export const dualSlot: Strategy = {
  name: 'dual-slot',
  impossibleAt: ({ slots, protocol }) => (slots ? undefined : `${protocol} targets do not know two secrets at once.`),
  coexisting: 2,
  // Reeve itself is who uses the keys that it keeps so.
  copies: 'none',
  maker: 'target',
  showsWho: true,
  // Sessions that were opened with a key end by themselves.
  endsSessions: () => false,
  async issue(work, at) {
    if (at.next) throw new LeaseFailure('the target does not let its new key in yet')
    const slots = slotsOf(work)
    const { place, signal } = work
    const actor = await actorOf(work, at)
    if ((await removeLost(work, at)) >= SLOTS - 1) {
      throw new LeaseFailure('the target has room for two keys, and the other one is not of Reeve: remove it there')
    }
    const made = await slots.create(place, actor, signal)
    await reachRotation('rotation.slot-made')
    await keepMade(work, at, made)
  },
  disable: async (work, at, user) => allow(work, at, { user, isAllowed: false }),
  enable: async (work, at, user) => allow(work, at, { user, isAllowed: true }),
  async revoke(work, at, user) {
    await slotsOf(work).remove(work.place, await actorOf(work, at), user, work.signal)
  },
  async undo(work, at) {
    await removeLost(work, at)
  },
}

/** Takes away what a killed process had made. Returns how many others there are. */
async function removeLost(work: Work, at: Claimed): Promise<number> {
  const slots = slotsOf(work)
  const { place, signal } = work
  const actor = await actorOf(work, at)
  const others = (await slots.list(place, actor, signal)).filter(({ user }) => user !== at.principal)
  const since = secondsAfter(at.plannedAt, -SKEW_SECONDS)
  const lost = others.filter(({ createdAt, isUsed }) => !isUsed && createdAt >= since)
  for (const { user } of lost) await slots.remove(place, actor, user, signal)
  return others.length - lost.length
}

async function allow(work: Work, at: Claimed, key: { user: string; isAllowed: boolean }): Promise<void> {
  await slotsOf(work).allow(work.place, await actorOf(work, at), key, work.signal)
}

/** What is kept now: the old key until the new one took its place, and the old one again while this is backed out of. */
async function actorOf({ db, needs }: Work, at: Claimed): Promise<TargetLogin> {
  const kept = await keptLogin(db, needs, at)
  if (!kept) throw new LeaseFailure('the login is not kept any more')
  return kept
}

function slotsOf({ rotator }: Work): Slots {
  if (!rotator.slots) throw new LeaseFailure('this target does not know two secrets at once')
  return rotator.slots
}
