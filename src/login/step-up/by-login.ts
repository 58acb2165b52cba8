import type { IDToken } from 'openid-client'
import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { linkedIdentity } from '../links.ts'
import type { LoginNeeds } from '../needs.ts'
import { beginAttempt } from '../oidc/attempt.ts'
import type { Provider } from '../oidc/provider.ts'
import { activePerson } from '../passkeys/assert.ts'
import { LoginRefused } from '../refused.ts'
import { stepUpProvenByLogin } from './events.ts'
import { markProven, openByCode, type Entered } from './prove.ts'
import { findStepUp, type StepUpRow } from './rows.ts'

/** By how much the clock of a provider may be behind ours: a login that is older than the request for it is none for it. */
const BEHIND_SECONDS = 10
const AHEAD_SECONDS = 30
const DONE_PATH = '/login/step-up/done'

/**
 * Where a person could log in again to confirm this act: at providers that know them and that say when more than one factor was shown. Never
 * for `phishing-resistant`: a provider signs who logged in and when, and not what for.
 */
export async function providersFor(
  { db, providers }: { readonly db: Db; readonly providers: readonly Provider[] },
  { level, personId }: Pick<StepUpRow, 'level' | 'personId'>,
): Promise<readonly Provider[]> {
  if (level !== 'mfa') return []
  const strong = providers.filter(({ stepUpAcrValues }) => stepUpAcrValues.length > 0)
  if (strong.length === 0) return []
  const links = await db
    .selectFrom('loginLink')
    .select('issuer')
    .where('identityId', '=', personId)
    .where('state', '=', 'active')
    .execute()
  return strong.filter(({ issuer }) => links.some((link) => link.issuer === issuer))
}

/** Sends the browser that entered the code to a provider, where its person proves themselves again. Throws `LoginRefused` or `stepUpOver`. */
export async function beginByLogin(
  needs: LoginNeeds,
  cookies: string | undefined,
  { name, ...entered }: Entered & { readonly name: string },
): Promise<{ readonly to: URL; readonly cookie: string; readonly provider: Provider; readonly row: StepUpRow }> {
  const row = await openByCode(needs, entered)
  const provider = (await providersFor(needs, row)).find((each) => each.name === name)
  if (!provider) throw new LoginRefused('refused', 'This act is not confirmed by logging in there.')
  const asked = { returnTo: DONE_PATH, enrolment: null, stepUpId: row.id }
  return { ...(await beginAttempt(needs, provider, cookies, asked)), provider, row }
}

/**
 * Takes a login at a provider as the fresh proof for the one act that it was begun for (RFC 9470 §5): of its person, not older than the
 * attempt, and as strong as was asked. Opens no login. Throws `LoginRefused`, `passkeyRefused` or `stepUpOver`.
 */
export async function proveByLogin(
  needs: LoginNeeds,
  provider: Provider,
  came: { readonly stepUpId: string; readonly begunAt: Date; readonly claims: IDToken },
): Promise<StepUpRow> {
  const { stepUpId, begunAt, claims } = came
  const row = await findStepUp(needs.db, stepUpId)
  if (!row) throw new Error(`the step-up ${stepUpId} has no record`)
  if (row.level !== 'mfa') throw new LoginRefused('refused', 'This act takes a passkey.')
  const authenticatedAt = freshIn(needs, claims, begunAt)
  const { acr } = claims
  if (typeof acr !== 'string' || !provider.stepUpAcrValues.includes(acr)) {
    throw new LoginRefused('refused', `${provider.title} did not ask for more than one factor. Nothing was confirmed.`)
  }
  return transact(needs.db, async (tx) => {
    // Decided in the transaction: a link that was retired meanwhile proves nobody.
    if ((await linkedIdentity(tx, claims.iss, claims.sub)) !== row.personId) {
      throw new LoginRefused('refused', `Somebody else logged in there. Only ${row.person} can confirm this.`)
    }
    await activePerson(tx, needs, row.personId)
    return markProven(tx, needs, row.id, { provenBy: 'login', passkeyId: null }, ({ actSha256 }) => ({
      event: stepUpProvenByLogin,
      facts: {
        stepUpId: row.id,
        level: 'mfa' as const,
        actSha256: actSha256.toString('hex'),
        provider: provider.name,
        issuer: claims.iss,
        acr,
        authenticatedAt,
      },
    }))
  })
}

/** OpenID Connect Core §3.1.3.7 (13): `max_age` was asked for, so `auth_time` has to be there, and says that it is of now. */
function freshIn({ clock }: Pick<LoginNeeds, 'clock'>, { auth_time: at }: IDToken, begunAt: Date): Date {
  const now = clock.now()
  const authenticatedAt =
    typeof at === 'number' && Number.isFinite(at) ? secondsAfter(now, at - now.getTime() / 1000) : null
  if (
    authenticatedAt === null ||
    secondsAfter(authenticatedAt, BEHIND_SECONDS) < begunAt ||
    authenticatedAt > secondsAfter(now, AHEAD_SECONDS)
  ) {
    throw new LoginRefused('refused', 'The provider did not ask for a new proof. Nothing was confirmed: start again.')
  }
  return authenticatedAt
}
