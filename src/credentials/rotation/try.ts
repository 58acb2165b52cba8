import { sha256 } from '../../kernel/crypto.ts'
import type { Secret } from '../../kernel/secret.ts'
import { LeaseFailure } from '../writer.ts'
import type { Claimed } from './claim.ts'
import type { Work } from './strategies/strategy.ts'

/** Whether the target lets the new one in. Throws where it refuses the login as such: then nothing is known of the secret. */
export async function isAccepted(work: Work, at: Claimed, secret: Secret, when: When = 'now'): Promise<boolean> {
  return isLetIn(work, { user: at.nextUser, secret }, when)
}

/** `lately`: an answer that this very attempt got a moment ago will do. Not where the next thing ends a secret, or says that one is dead. */
export type When = 'now' | 'lately'

const MOMENT_MS = 1_000

type Answer = { readonly user: string; readonly secretSha256: Buffer; readonly atMs: number }

/** Who was let in last, by attempt. */
const lately = new WeakMap<Work, Answer>()

export async function isLetIn(
  work: Work,
  login: { readonly user: string; readonly secret: Secret },
  when: When = 'now',
): Promise<boolean> {
  const { clock } = work.needs
  const secretSha256 = sha256(login.secret.reveal())
  const last = lately.get(work)
  const isSame = last?.user === login.user && last.secretSha256.equals(secretSha256)
  if (when === 'lately' && isSame && clock.monotonicMs() - last.atMs < MOMENT_MS) return true
  const atMs = clock.monotonicMs()
  const isIn = await tryNow(work, login)
  if (isIn) lately.set(work, { user: login.user, secretSha256, atMs })
  else lately.delete(work)
  return isIn
}

async function tryNow({ rotator, place, signal }: Work, login: { readonly user: string; readonly secret: Secret }) {
  const tried = await rotator.tryLogin(place, { user: login.user, secret: login.secret }, signal)
  if (!tried.isAccepted && tried.why === 'login') {
    throw new LeaseFailure(`trying the login gave no clear answer (${tried.code})`)
  }
  return tried.isAccepted
}
