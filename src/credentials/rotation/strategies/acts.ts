import { transact } from '../../../kernel/db.ts'
import type { Secret } from '../../../kernel/secret.ts'
import { SYSTEM } from '../../../ledger/ledger.ts'
import { NotWanted } from '../../writer.ts'
import { lockOpen, mustLoad, type Claimed } from '../claim.ts'
import { rotationRegenerated } from '../events.ts'
import { sealNext } from '../login.ts'
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

/** Seals what the target made before anything else is done with it: it may tell it once. */
export async function keepMade(
  { db, needs }: Work,
  at: Claimed,
  made: { readonly user: string; readonly secret: Secret },
): Promise<void> {
  const generation = at.generation + 1
  await transact(db, async (tx) => {
    const { state } = await lockOpen(tx, at.id)
    if (state !== 'planned') throw new NotWanted('the rotation went on elsewhere')
    const cause = await needs.ledger.record(tx, {
      event: rotationRegenerated,
      actor: SYSTEM,
      resource: { type: 'Rotation', id: at.id },
      outcome: 'done',
      facts: { generation },
    })
    const nextPrincipal = made.user === at.principal ? null : made.user
    await tx
      .updateTable('rotation')
      .set({ sealedNext: sealNext(needs, at.id, made.secret), nextPrincipal, generation, cause })
      .where('id', '=', at.id)
      .execute()
  })
}
