import { z } from 'zod'
import { secondsAfter } from '../../kernel/clock.ts'
import { equalBytes, sha256 } from '../../kernel/crypto.ts'
import { transact } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import type { LoginNeeds } from '../needs.ts'
import { LoginRefused } from '../refused.ts'
import { cookieIn, setCookie } from '../sessions/cookie.ts'
import type { Checks, Provider } from './provider.ts'

const ATTEMPT_COOKIE = '__Host-reeve-attempt'
const SECRET_BYTES = 32
const TTL_SECONDS = 600
/** Anybody may begin a login, so there is an end to how many wait. */
const MOST_WAITING = 50_000
const Sealed = z.object({ nonce: z.string(), verifier: z.string(), enrolment: z.string().nullable() })

/** What a login is for, beside the login. */
export type AttemptFor = {
  /** A path of ours to go on at. */
  readonly returnTo: string
  /** The secret of a one-time link that this login is to be linked by. */
  readonly enrolment: Secret | null
  /** The one act that it is a fresh proof for: then nobody is logged in by it. */
  readonly stepUpId: string | null
}

/** Sends a browser to a provider, and remembers by which one and what it has to come back with. */
export async function beginAttempt(
  needs: LoginNeeds,
  provider: Provider,
  cookies: string | undefined,
  { returnTo, enrolment, stepUpId }: AttemptFor,
): Promise<{ readonly to: URL; readonly cookie: string }> {
  const random = () => needs.random.bytes(SECRET_BYTES).toString('base64url')
  const checks: Checks = { state: random(), nonce: random(), verifier: random() }
  // Kept while there is one, so that two windows can log in side by side.
  const shown = cookieIn(cookies, ATTEMPT_COOKIE)
  const browser = shown !== undefined && /^[\w-]{43}$/.test(shown) ? shown : random()
  const now = needs.clock.now()
  await makeRoom(needs, now)
  const to = await provider.begin(checks, callbackOf(needs, provider), stepUpId !== null)
  const stateSha256 = sha256(checks.state)
  const { nonce, verifier } = checks
  const kept = JSON.stringify({ nonce, verifier, enrolment: enrolment?.reveal() ?? null })
  await needs.db
    .insertInto('loginAttempt')
    .values({
      stateSha256,
      browserSha256: sha256(browser),
      provider: provider.name,
      issuer: provider.issuer,
      sealedChecks: needs.seal.seal(new Secret(kept), placeOf(stateSha256)),
      returnTo,
      stepUpId,
      createdAt: now,
      expiresAt: secondsAfter(now, TTL_SECONDS),
      usedAt: null,
    })
    .execute()
  return { to, cookie: setCookie(ATTEMPT_COOKIE, browser, TTL_SECONDS) }
}

/** Forgets what is over; throws while more browsers wait than there are people. */
async function makeRoom({ db }: Pick<LoginNeeds, 'db'>, now: Date): Promise<void> {
  await db.deleteFrom('loginAttempt').where('expiresAt', '<', now).execute()
  const { count } = await db
    .selectFrom('loginAttempt')
    .select((is) => is.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  if (count >= MOST_WAITING)
    throw new LoginRefused('slow-down', 'Too many logins are under way. Try again in a minute.')
}

/** RFC 9700 §4.4.2: each provider has an address of its own, so that the answer of one is never taken for that of another. */
export function callbackOf({ issuer }: Pick<LoginNeeds, 'issuer'>, { name }: Pick<Provider, 'name'>): string {
  return `${issuer()}/login/callback/${name}`
}

function placeOf(stateSha256: Buffer): string {
  return `login_attempt.sealed_checks:${stateSha256.toString('hex')}`
}

/**
 * The attempt that an answer belongs to: begun by this very browser, at this very provider, not long ago, and answered for the first time.
 * Throws `LoginRefused`, with one sentence for all of it.
 */
export async function takeAttempt(
  needs: LoginNeeds,
  provider: Provider,
  cookies: string | undefined,
  state: string | undefined,
): Promise<TakenAttempt> {
  const browser = cookieIn(cookies, ATTEMPT_COOKIE)
  if (state === undefined || browser === undefined) throw unknownAttempt()
  const stateSha256 = sha256(state)
  const row = await transact(needs.db, async (tx) => {
    const found = await tx
      .selectFrom('loginAttempt')
      .selectAll()
      .where('stateSha256', '=', stateSha256)
      .forUpdate()
      .executeTakeFirst()
    const now = needs.clock.now()
    const isMine =
      found?.provider === provider.name &&
      found.issuer === provider.issuer &&
      equalBytes(found.browserSha256, sha256(browser))
    if (!found || !isMine || found.usedAt !== null || found.expiresAt <= now) return undefined
    await tx.updateTable('loginAttempt').set({ usedAt: now }).where('stateSha256', '=', stateSha256).execute()
    return found
  })
  if (!row) throw unknownAttempt()
  const opened = needs.seal.open(row.sealedChecks, placeOf(stateSha256)).reveal().toString('utf8')
  const { nonce, verifier, enrolment } = Sealed.parse(JSON.parse(opened))
  return {
    returnTo: row.returnTo,
    stepUpId: row.stepUpId,
    createdAt: row.createdAt,
    enrolment: enrolment === null ? null : new Secret(enrolment),
    checks: { state, nonce, verifier },
  }
}

/** An attempt that was answered, and when it began. */
type TakenAttempt = AttemptFor & { readonly checks: Checks; readonly createdAt: Date }

function unknownAttempt(): LoginRefused {
  return new LoginRefused(
    'over',
    'This login was not begun in this browser, is over, or was finished before. Start again.',
  )
}
