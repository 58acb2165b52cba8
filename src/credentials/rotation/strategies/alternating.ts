import { LeaseFailure } from '../../writer.ts'
import { keptLogin } from '../login.ts'
import { actorsFor } from '../place.ts'
import type { LoginRotator, TurnTaking } from '../rotator.ts'
import { changeInPlace, makersOf, stillAt } from './acts.ts'
import type { Strategy, Work } from './strategy.ts'

/**
 * Two logins in the same group take turns. Both work from the moment the new one is issued until the old one is disabled, so those who hold a copy
 * change over when they like. The account keeps its name; which login it stands for is `account.principal`.
 */
export const alternating: Strategy = {
  name: 'alternating',
  impossibleAt: ({ turns, protocol }: LoginRotator) =>
    turns ? undefined : `Logins of ${protocol} targets cannot take turns in this release.`,
  coexisting: 2,
  copies: 'held',
  maker: 'reeve',
  showsWho: true,
  endsSessions: ({ turns }) => turns?.endsSessions === true,
  nextUser: ({ alternate }, accountName, principal) => (principal === alternate ? accountName : alternate),
  async issue(work, at, secret) {
    const { place, signal } = work
    const act = { user: at.nextUser, actors: await makersOf(work, at, secret), isWanted: stillAt(work, at) }
    await turnsOf(work).prepare(place, { ...act, like: at.principal, mark: at.id }, signal)
    await changeInPlace(work, at, secret)
    await turnsOf(work).allow(place, { ...act, secret, isAllowed: true, mark: at.id }, signal)
  },
  disable: (work, at, user) => allow(work, at, { user, secret: undefined, isAllowed: false }),
  async enable(work, at, user) {
    const kept = await keptLogin(work.db, work.needs, at)
    const secret = kept?.user === user ? kept.secret : undefined
    await allow(work, at, { user, secret, isAllowed: true })
  },
  async revoke(work, at, user) {
    const act = { user, actors: await ofOthers(work, at, user), isWanted: stillAt(work, at), mark: at.id }
    await turnsOf(work).forget(work.place, act, work.signal)
  },
}

type At = Parameters<Strategy['issue']>[1]

type Allowed = Pick<Parameters<TurnTaking['allow']>[1], 'user' | 'secret' | 'isAllowed'>

async function allow(work: Work, at: At, allowed: Allowed): Promise<void> {
  const act = { actors: await ofOthers(work, at, allowed.user), isWanted: stillAt(work, at), mark: at.id }
  await turnsOf(work).allow(work.place, { ...act, ...allowed }, work.signal)
}

async function ofOthers({ db, needs }: Work, at: At, user: string) {
  const actors = await actorsFor(db, needs, at, at.next)
  return actors.filter((actor) => actor.user !== user && actor.user !== at.principal && actor.user !== at.nextUser)
}

function turnsOf({ rotator }: Work): TurnTaking {
  if (!rotator.turns) throw new LeaseFailure('logins of this target cannot take turns')
  return rotator.turns
}
