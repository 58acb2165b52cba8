import { transact } from '../../kernel/db.ts'
import { LeaseFailure } from '../writer.ts'
import type { Claimed } from './claim.ts'
import { rotationAborted, rotationNotAborted } from './events.ts'
import { reachRotation } from './fault-points.ts'
import { keptLogin } from './login.ts'
import { arrow } from './move.ts'
import type { Strategy, Work } from './strategies/strategy.ts'
import { isLetIn } from './try.ts'

/**
 * aborting → aborted: the old one works, and the new one is proven dead. Where the target knows one secret only and that is the new one already, there
 * is no way back: the rotation goes on as if nobody had asked.
 */
export async function backOut(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { db, needs, rotator, place, signal } = work
  const kept = await keptLogin(db, needs, at)
  if (!kept) throw new LeaseFailure('the login is not kept any more')
  await strategy.enable?.(work, at, at.principal)
  if (!(await isLetIn(work, kept))) {
    const isTooLate = at.next !== undefined && strategy.coexisting === 1 && (await isLetIn(work, nextOf(at, at.next)))
    if (!isTooLate) throw new LeaseFailure('the target refuses the old secret, so the new one is not ended')
    const facts = { principal: at.principal }
    const set = { issuedAt: needs.clock.now() }
    await transact(db, (tx) => arrow(tx, needs, at, { to: 'issued', set, event: rotationNotAborted, facts }))
    return
  }
  let refusedWith: string | null = null
  if (at.next) {
    let tried = await rotator.tryLogin(place, nextOf(at, at.next), signal)
    // What the target was never told needs no end, and may be no login there at all.
    if (tried.isAccepted || tried.why === 'login') {
      await strategy.revoke?.(work, at, at.nextUser)
      tried = await rotator.tryLogin(place, nextOf(at, at.next), signal)
    }
    await reachRotation('rotation.undone-upstream')
    if (tried.isAccepted || tried.why !== 'secret') throw new LeaseFailure('the new secret is not proven dead')
    refusedWith = tried.code
  } else if (strategy.undo) {
    await strategy.undo(work, at)
    await reachRotation('rotation.undone-upstream')
  }
  const now = needs.clock.now()
  const evidence = { provenAt: now.toISOString(), oldSecret: { accepted: true }, newSecret: { refusedWith } }
  const over = { overAt: now, nextTryAt: null, sealedNext: null, sealedPrevious: null, escalation: 'none' } as const
  const set = { ...over, evidence: JSON.stringify(evidence) }
  const facts = { principal: at.principal, evidence }
  await transact(db, (tx) => arrow(tx, needs, at, { to: 'aborted', set, event: rotationAborted, facts }))
  await reachRotation('rotation.aborted')
}

function nextOf(at: Claimed, secret: NonNullable<Claimed['next']>) {
  return { user: at.nextUser, secret }
}
