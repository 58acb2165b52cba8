import type { Secret } from '../../../kernel/secret.ts'
import { LeaseFailure } from '../../writer.ts'
import type { Claimed } from '../claim.ts'
import { keptLogin } from '../login.ts'
import { actorsFor } from '../place.ts'
import type { Retaining } from '../rotator.ts'
import { stillAt } from './acts.ts'
import type { Strategy, Work } from './strategy.ts'

/**
 * One login with two secrets: that of now, and the one before, which is let in until it is discarded. Those who hold a copy take the new one when they like.
 * By which of the two a session came nobody can see, so it is a person's word that says who took it up.
 */
export const retainOld: Strategy = {
  name: 'retain-old',
  impossibleAt: ({ retains, protocol }) =>
    retains ? undefined : `Logins of ${protocol} targets do not know two secrets at once.`,
  coexisting: 2,
  copies: 'held',
  maker: 'reeve',
  showsWho: false,
  endsSessions: () => false,
  async issue(work, at, secret) {
    if (!secret) throw new Error('there is no secret to tell')
    const old = await oldOf(work, at)
    await retainsOf(work).add(work.place, { ...(await actOf(work, at)), old, secret }, work.signal)
  },
  // There is no way to shut it that could be undone: this is its end.
  disable: discard,
  // Of two, the one that is kept again is the only one: that ends the new one too.
  enable: restore,
  revoke: (work, at) => (at.state === 'aborting' ? restore(work, at) : discard(work, at)),
}

async function discard(work: Work, at: Claimed): Promise<void> {
  await retainsOf(work).discard(work.place, await actOf(work, at), work.signal)
}

async function restore(work: Work, at: Claimed): Promise<void> {
  const old = await oldOf(work, at)
  await retainsOf(work).restore(work.place, { ...(await actOf(work, at)), old }, work.signal)
}

async function actOf(work: Work, at: Claimed) {
  const actors = await actorsFor(work.db, work.needs, at, at.next)
  return { user: at.principal, actors, isWanted: stillAt(work, at), mark: at.id }
}

/** What is kept, until the new one took its place. */
async function oldOf({ db, needs }: Work, at: Claimed): Promise<Secret> {
  const old = at.previous ?? (await keptLogin(db, needs, at))?.secret
  if (!old) throw new LeaseFailure('the login is not kept any more')
  return old
}

function retainsOf({ rotator }: Work): Retaining {
  if (!rotator.retains) throw new LeaseFailure('this target does not know two secrets at once')
  return rotator.retains
}
