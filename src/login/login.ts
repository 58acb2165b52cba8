/**
 * How people log in: at a provider they are linked to by its own name for them, or with a passkey. A login is a row, and the authority of all
 * that is given for it: the cookie of a browser, codes, and tokens bound to a key of a program. It ends by itself, when nobody uses it, when
 * its person is stopped, when the provider says so, and by `reeve logout`; what was given for it ends in the same transaction.
 */
export { loginEvents } from './events.ts'
export type { LoginNeeds, SessionNeeds } from './needs.ts'
export { html, page, policyOf, type Html, type SentPage } from './page.ts'
export { LoginRefused } from './refused.ts'
export { browserSession, formToken, isFormToken, type BrowserSession } from './sessions/cookie.ts'
export { endLoginSessions, endLoginSessionsOf, sweepLoginSessions } from './sessions/end.ts'
export { loginSessionOf, openLoginSession, type Authenticated, type ClientSeen } from './sessions/open.ts'
