import { equalBytes, hmacSha256, sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { LoginNeeds, SessionNeeds } from '../needs.ts'
import type { LoginSession } from '../schemas.ts'
import { endLoginSessions } from './end.ts'
import { SESSION_COLUMNS } from './open.ts'

/** `__Host-`: set by this very host, over TLS, for every path (RFC 6265bis §4.1.3.2). Nothing on another name can plant one. */
const COOKIE = '__Host-reeve-login'
const SECRET_BYTES = 32
/** A value is replaced when it is older than this, and the one before is taken a little longer: a browser asks for several things at once. */
const ROTATE_MS = 600_000
const GRACE_MS = 60_000

/** A browser that is logged in. */
export type BrowserSession = {
  readonly session: LoginSession
  /** What its forms are made from, the same as long as the login lasts. */
  readonly formKey: string
  /** `Set-Cookie`, where it was given another value. */
  readonly setCookie: string | undefined
}

/** The value of one cookie of a request; undefined where it is not there, or there twice. */
export function cookieIn(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').flatMap((pair) => {
    const at = pair.indexOf('=')
    return at > 0 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : []
  })
  return values.length === 1 ? values[0] : undefined
}

/** A cookie for this host that no script reads and no other site's request but a link carries. */
export function setCookie(name: string, value: string, maxAgeSeconds: number): string {
  return `${name}=${value}; Max-Age=${maxAgeSeconds}; Path=/; Secure; HttpOnly; SameSite=Lax`
}

/** The cookie of a new session: another value than any before, so that nobody has it who was here earlier. */
export async function giveCookie(
  tx: Tx,
  needs: Pick<SessionNeeds, 'clock' | 'random' | 'sessionSeconds'>,
  sessionId: string,
): Promise<{ readonly cookie: string; readonly setCookie: string }> {
  const cookie = needs.random.bytes(SECRET_BYTES).toString('base64url')
  await tx
    .insertInto('loginCookie')
    .values({ cookieSha256: sha256(cookie), sessionId, createdAt: needs.clock.now(), replacedAt: null })
    .execute()
  return { cookie, setCookie: setCookie(COOKIE, cookie, needs.sessionSeconds) }
}

/** The cookie gone. */
export function forgetCookie(): string {
  return setCookie(COOKIE, '', 0)
}

/**
 * Whose browser this is, by its cookie and the row behind it, and marks that it was here. A value that was replaced and comes back later is in
 * two hands: the login ends, for both.
 */
export async function browserSession(
  needs: Pick<LoginNeeds, 'db' | 'clock' | 'random' | 'ledger' | 'seal' | 'sessionSeconds'>,
  cookies: string | undefined,
): Promise<BrowserSession | undefined> {
  const cookie = cookieIn(cookies, COOKIE)
  if (cookie === undefined || cookie.length > 100) return undefined
  return transact(needs.db, async (tx) => {
    const found = await sessionBehind(tx, cookie)
    const now = needs.clock.now()
    if (!found || found.endedAt !== null || found.expiresAt <= now) return undefined
    if (found.seenAt.getTime() + found.idleSeconds * 1000 <= now.getTime()) return undefined
    if (found.identityState !== 'active') return undefined
    const { replacedAt, cookieCreatedAt, ...rest } = found
    if (replacedAt !== null && now.getTime() - replacedAt.getTime() > GRACE_MS) {
      await endLoginSessions(tx, needs, { ids: [found.id] }, { why: 'cookie-replayed' })
      return undefined
    }
    await tx.updateTable('loginActivity').set({ seenAt: now }).where('sessionId', '=', found.id).execute()
    const { seenAt: _seen, idleSeconds: _idle, identityState: _state, ...session } = rest
    const formKey = needs.seal.fingerprint(`forms of the login ${found.id}`)
    if (replacedAt !== null || now.getTime() - cookieCreatedAt.getTime() <= ROTATE_MS) {
      return { session, formKey, setCookie: undefined }
    }
    const replaced = await tx
      .updateTable('loginCookie')
      .set({ replacedAt: now })
      .where('cookieSha256', '=', sha256(cookie))
      .where('replacedAt', 'is', null)
      .executeTakeFirst()
    if (replaced.numUpdatedRows !== 1n) return { session, formKey, setCookie: undefined }
    const given = await giveCookie(tx, needs, found.id)
    return { session, formKey, setCookie: given.setCookie }
  })
}

function sessionBehind(db: Db, cookie: string) {
  return db
    .selectFrom('loginCookie')
    .innerJoin('loginSession', 'loginSession.id', 'loginCookie.sessionId')
    .innerJoin('loginActivity', 'loginActivity.sessionId', 'loginSession.id')
    .innerJoin('identity', 'identity.id', 'loginSession.identityId')
    .select(SESSION_COLUMNS.map((column) => `loginSession.${column}` as const))
    .select([
      'loginSession.idleSeconds',
      'loginActivity.seenAt',
      'loginCookie.createdAt as cookieCreatedAt',
      'loginCookie.replacedAt',
      'identity.state as identityState',
    ])
    .where('loginCookie.cookieSha256', '=', sha256(cookie))
    .executeTakeFirst()
}

/** What a form of this login carries, for one purpose: nobody else can make it, and another site's page can't read it. */
export function formToken({ formKey }: Pick<BrowserSession, 'formKey'>, purpose: string): string {
  return hmacSha256(Buffer.from(formKey, 'utf8'), `form ${purpose}`).toString('base64url')
}

export function isFormToken(
  browser: Pick<BrowserSession, 'formKey'>,
  purpose: string,
  token: string | undefined,
): boolean {
  return token !== undefined && equalBytes(Buffer.from(formToken(browser, purpose)), Buffer.from(token))
}
