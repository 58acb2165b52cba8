import { secondsAfter } from '../../kernel/clock.ts'
import { transact } from '../../kernel/db.ts'
import type { Secret } from '../../kernel/secret.ts'
import type { IDToken } from 'openid-client'
import { loginRefused } from '../events.ts'
import { linkByEnrolment, linkedIdentity } from '../links.ts'
import type { LoginNeeds } from '../needs.ts'
import { LoginRefused } from '../refused.ts'
import { browserSession, giveCookie, type BrowserSession } from '../sessions/cookie.ts'
import { endLoginSessions } from '../sessions/end.ts'
import { idTokenPlace, openLoginSession, type Authenticated, type ClientSeen } from '../sessions/open.ts'
import { proveByLogin } from '../step-up/by-login.ts'
import { callbackOf, takeAttempt } from './attempt.ts'
import type { Provider } from './provider.ts'

/** A browser that came back from a provider. */
export type CameBack = {
  readonly fields: ReadonlyMap<string, string>
  readonly cookies: string | undefined
  readonly client: ClientSeen
  /** The query as it came. */
  readonly query: string
}

export type LoggedIn = { readonly returnTo: string; readonly setCookie: string | null }

/** Finishes a login at a provider: the answer is proven to be the one to this attempt, and its subject to be somebody's. Throws `LoginRefused`. */
export async function finishLogin(needs: LoginNeeds, provider: Provider, came: CameBack): Promise<LoggedIn> {
  const attempt = await takeAttempt(needs, provider, came.cookies, came.fields.get('state'))
  if (came.fields.has('error')) {
    throw new LoginRefused('refused', `${provider.title} did not let this login through. Start again, or ask there.`)
  }
  const answer = new URL(`${callbackOf(needs, provider)}?${came.query}`)
  const { claims, idToken } = await provider.finish(answer, attempt.checks)
  const before = attempt.stepUpId === null ? await browserSession(needs, came.cookies) : undefined
  const by = { provider: provider.name, issuer: claims.iss, subject: claims.sub }
  try {
    if (attempt.stepUpId !== null) {
      const { returnTo, stepUpId, createdAt } = attempt
      await proveByLogin(needs, provider, { stepUpId, begunAt: createdAt, claims })
      return { returnTo, setCookie: null }
    }
    return await finished(needs, provider, { came, attempt, claims, idToken, by, before })
  } catch (error) {
    if (error instanceof LoginRefused) await enterRefusal(needs, by, error)
    throw error
  }
}

type By = Omit<NonNullable<Authenticated['by']>, 'session' | 'sealedIdToken'>

/** A refusal of somebody who is known is on the record; of strangers there is no end. */
async function enterRefusal(needs: LoginNeeds, by: By, refusal: LoginRefused): Promise<void> {
  const identityId = await linkedIdentity(needs.db, by.issuer, by.subject)
  if (identityId === undefined) return
  await transact(needs.db, (tx) =>
    needs.ledger.record(tx, {
      event: loginRefused,
      actor: { id: identityId, kind: 'human' },
      action: 'login-session.open',
      resource: { type: 'Identity', id: identityId },
      outcome: 'refused',
      facts: { provider: by.provider, why: refusal.message },
    }),
  )
}

type Finishing = {
  readonly came: CameBack
  readonly attempt: Awaited<ReturnType<typeof takeAttempt>>
  readonly claims: IDToken
  readonly idToken: Secret
  readonly by: By
  readonly before: BrowserSession | undefined
}

function finished(needs: LoginNeeds, provider: Provider, finishing: Finishing): Promise<LoggedIn> {
  const { came, attempt, claims, idToken, by, before } = finishing
  return transact(needs.db, async (tx) => {
    const identityId =
      attempt.enrolment === null
        ? await linkedIdentity(tx, by.issuer, by.subject)
        : await linkByEnrolment(tx, needs, attempt.enrolment, by)
    if (identityId === undefined) throw nobody(provider, claims.sub)
    // Whoever was logged in here before is not any more: no login is stacked on another.
    if (before) await endLoginSessions(tx, needs, { ids: [before.session.id] }, { why: 'replaced' })
    const authenticated = authenticatedBy(needs, claims, { identityId, by, idToken })
    const session = await openLoginSession(tx, needs, authenticated, { channel: 'browser', client: came.client })
    const { setCookie } = await giveCookie(tx, needs, session.id)
    return { returnTo: attempt.returnTo, setCookie }
  })
}

function nobody({ name, title }: Provider, subject: string): LoginRefused {
  return new LoginRefused(
    'nobody',
    `${title} says who you are there, and nobody here is linked to that. Whoever may give you a credential runs: ` +
      `reeve login-link create <your name> --provider ${name} --subject ${/^[\x21-\x7e]{1,255}$/.test(subject) ? subject : '…'}`,
  )
}

const ACR_MAX_CHARS = 500
const MOST_AMR = 20

/** The strength of the proof, as the provider tells it (OpenID Connect Core §2): bounded, since it is somebody else's text. */
function authenticatedBy(
  needs: Pick<LoginNeeds, 'clock' | 'seal'>,
  claims: IDToken,
  { identityId, by, idToken }: { readonly identityId: string; readonly by: By; readonly idToken: Secret },
): Authenticated {
  const now = needs.clock.now()
  const { auth_time: authTime, acr, amr, sid } = claims
  const told = typeof authTime === 'number' ? secondsAfter(now, authTime - now.getTime() / 1000) : now
  return {
    identityId,
    method: 'oidc',
    by: {
      ...by,
      session: typeof sid === 'string' && sid.length <= ACR_MAX_CHARS ? sid : null,
      sealedIdToken: (id) => needs.seal.seal(idToken, idTokenPlace(id)),
    },
    acr: typeof acr === 'string' && acr !== '' ? acr.slice(0, ACR_MAX_CHARS) : null,
    amr: (Array.isArray(amr) ? amr : [])
      .filter((each): each is string => typeof each === 'string' && each.length <= 100)
      .slice(0, MOST_AMR),
    authenticatedAt: told < now ? told : now,
  }
}
