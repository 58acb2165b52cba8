import { transact } from '../../kernel/db.ts'
import type { FormAnswer, FormDoor } from '../../kernel/http/form.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { takeProof, verifyIssued } from '../../tokens/tokens.ts'
import type { LoginNeeds } from '../needs.ts'
import { endLoginSessions } from '../sessions/end.ts'
import type { Provider } from './provider.ts'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const SKEW_SECONDS = 30
/** OpenID Connect Back-Channel Logout §2.6: what is older is a replay; what is remembered covers it. */
const AGE_MAX_SECONDS = 300
const TEXT_MAX_CHARS = 500

/** Where a provider says that somebody logged out there. One address for each, so that one never speaks for another. */
export function logoutDoor(needs: LoginNeeds, provider: Provider): FormDoor {
  return {
    path: `/oauth2/backchannel-logout/${provider.name}`,
    repeatable: [],
    answer: async ({ fields, isClear }) => {
      const token = fields.get('logout_token')
      if (!isClear || token === undefined) return refused('The logout token is missing.')
      const named = await readLogoutToken(needs, provider, token)
      if (typeof named === 'string') {
        needs.log.warn({ provider: provider.name, why: named }, 'a logout token was refused')
        return refused('The logout token is not one for this client.')
      }
      const ended = await transact(needs.db, async (tx) => {
        if (!(await takeProof(tx, named.once))) return undefined
        const { issuer } = provider
        return endLoginSessions(tx, needs, { issuer, ...named.of }, { why: 'provider-logout' })
      })
      // §2.8: to log out who is not logged in is done too.
      return ended === undefined ? refused('The logout token was shown before.') : { status: 200 }
    },
  }
}

function refused(description: string): FormAnswer {
  return { status: 400, body: { error: 'invalid_request', error_description: description } }
}

type Named = {
  readonly of: { readonly subject: string | null; readonly session: string | null }
  readonly once: Parameters<typeof takeProof>[1]
}

/** OpenID Connect Back-Channel Logout §2.6: whom it means, or why it is not believed. */
async function readLogoutToken(needs: LoginNeeds, provider: Provider, token: string): Promise<Named | string> {
  const read = await verifyIssued(needs, token, provider.issuer)
  if (!read) return 'its signature'
  const { header, claims } = read
  const { iss, aud, iat, exp, jti, sub, sid, events, nonce } = claims
  // An ID token has the same signer: the type, the event and the missing nonce tell them apart.
  if (header['typ'] !== undefined && header['typ'] !== 'logout+jwt' && header['typ'] !== 'JWT') return 'its type'
  if (header['alg'] !== provider.algorithm) return 'its algorithm'
  if (iss !== provider.issuer) return 'its issuer'
  const isForUs = aud === provider.clientId || (Array.isArray(aud) && aud.includes(provider.clientId))
  if (!isForUs) return 'its audience'
  const now = needs.clock.now()
  const nowSeconds = now.getTime() / 1000
  if (typeof iat !== 'number' || iat > nowSeconds + SKEW_SECONDS || iat < nowSeconds - AGE_MAX_SECONDS) return 'its age'
  if (exp !== undefined && (typeof exp !== 'number' || exp <= nowSeconds - SKEW_SECONDS)) return 'its end'
  if (nonce !== undefined) return 'a nonce'
  if (typeof events !== 'object' || events === null || !(EVENT in events)) return 'its event'
  if (!isName(jti)) return 'its id'
  const subject = isName(sub) ? sub : null
  const session = isName(sid) ? sid : null
  if (subject === null && session === null) return 'it names nobody'
  const expiresAt = secondsAfter(now, AGE_MAX_SECONDS + SKEW_SECONDS)
  return { of: { subject, session }, once: { kind: 'assertion', by: `logout ${provider.issuer}`, jti, expiresAt } }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= TEXT_MAX_CHARS
}
