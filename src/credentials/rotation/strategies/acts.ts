import type { Secret } from '../../../kernel/secret.ts'
import { mustLoad, type Claimed } from '../claim.ts'
import { actorsFor } from '../place.ts'
import type { TargetLogin } from '../rotator.ts'
import type { Work } from './strategy.ts'

/** Whether the rotation is still where this attempt saw it. Asked under the fence of the target. */
export function stillAt({ db, needs }: Work, at: Claimed): () => Promise<boolean> {
  return async () => {
    const now = await mustLoad(db, needs, at.id)
    return now.generation === at.generation && now.state === at.state
  }
}

/** The one password of a role is another from here on. */
export async function changeInPlace(work: Work, at: Claimed, secret: Secret | undefined): Promise<void> {
  if (!secret) throw new Error('there is no secret to tell')
  const { db, needs, rotator, place, signal } = work
  const actors = await actorsFor(db, needs, at, secret)
  const change = { user: at.nextUser, secret, actors, isWanted: stillAt(work, at), mark: at.id }
  await rotator.change(place, change, signal)
}

/** Only who makes roles may touch the other one: a login has no say about its twin. */
export async function makersOf({ db, needs }: Work, at: Claimed, secret: Secret | undefined): Promise<TargetLogin[]> {
  return (await actorsFor(db, needs, at, secret)).filter(({ user }) => user !== at.principal && user !== at.nextUser)
}
