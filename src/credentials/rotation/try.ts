import type { Secret } from '../../kernel/secret.ts'
import { LeaseFailure } from '../writer.ts'
import type { Claimed } from './claim.ts'
import type { Work } from './strategies/strategy.ts'

/** Whether the target lets the new one in. Throws where it refuses the login as such: then nothing is known of the secret. */
export async function isAccepted(work: Work, at: Claimed, secret: Secret): Promise<boolean> {
  return isLetIn(work, { user: at.nextUser, secret })
}

export async function isLetIn(
  { rotator, place, signal }: Work,
  login: { readonly user: string; readonly secret: Secret },
): Promise<boolean> {
  const tried = await rotator.tryLogin(place, { user: login.user, secret: login.secret }, signal)
  if (!tried.isAccepted && tried.why === 'login') {
    throw new LeaseFailure(`trying the login gave no clear answer (${tried.code})`)
  }
  return tried.isAccepted
}
