import { transact } from '../../kernel/db.ts'
import type { SessionNeeds } from '../needs.ts'
import { giveCookie } from '../sessions/cookie.ts'
import { openLoginSession, type ClientSeen } from '../sessions/open.ts'
import type { LoginSession } from '../schemas.ts'
import { provePasskey, usePasskey } from './assert.ts'
import { startCeremony, takeCeremony } from './ceremony.ts'
import type { PasskeyNeeds } from './needs.ts'
import type { AssertionResponse } from './schemas.ts'
import { siteOf } from './site.ts'

/** OpenID EAP ACR Values 1.0, and RFC 8176: a key that was shown with its person verified. */
const ACR = 'phr'
const AMR = ['mfa', 'pop', 'user']
const TIMEOUT_MS = 300_000

/** What a browser needs to show a passkey, of whoever sits there. */
export async function beginSignIn(
  needs: PasskeyNeeds,
): Promise<{ readonly ceremony: string; readonly options: Readonly<Record<string, unknown>> }> {
  const { id, challenge } = await startCeremony(needs.db, needs, { kind: 'sign-in' })
  return {
    ceremony: id,
    options: {
      challenge: challenge.toString('base64url'),
      rpId: siteOf(needs.issuer()).rpId,
      timeout: TIMEOUT_MS,
      userVerification: 'required',
    },
  }
}

/** Logs its person in, once for one challenge. Throws `passkeyRefused`. */
export async function signIn(
  needs: PasskeyNeeds & SessionNeeds,
  shown: { readonly ceremony: string; readonly response: AssertionResponse; readonly client: ClientSeen },
): Promise<{ readonly session: LoginSession; readonly setCookie: string }> {
  const { challenge } = await takeCeremony(needs.db, needs, { id: shown.ceremony, kind: 'sign-in' })
  const proven = await provePasskey(needs, shown.response, { challenge })
  return transact(needs.db, async (tx) => {
    const person = await usePasskey(tx, needs, proven)
    const authenticatedAt = needs.clock.now()
    const by = { identityId: person.id, method: 'passkey', by: null, acr: ACR, amr: AMR, authenticatedAt } as const
    const session = await openLoginSession(tx, needs, by, { channel: 'browser', client: shown.client })
    const { setCookie } = await giveCookie(tx, needs, session.id)
    return { session, setCookie }
  })
}
