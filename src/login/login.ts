/**
 * How people log in: at a provider they are linked to by its own name for them, or with a passkey. A login is a row, and the authority of all
 * that is given for it: the cookie of a browser, codes, and tokens bound to a key of a program. It ends by itself, when nobody uses it, when
 * its person is stopped, when the provider says so, and by `reeve logout`; what was given for it ends in the same transaction.
 */
export { authorizationDoors } from './authorize.ts'
export { devicePages } from './device-pages.ts'
export { loginPages } from './login-pages.ts'
export { logoutPages } from './logout-pages.ts'
export type { LoginNeeds } from './needs.ts'
export { logoutDoor } from './oidc/logout.ts'
export { openProvider, type Provider } from './oidc/provider.ts'
export { passkeyPages, passkeyWay } from './passkeys/pages.ts'
export { passkeyRoutes } from './passkeys/routes.ts'
export { pushedDoor } from './pushed.ts'
export { loginRoutes } from './routes.ts'
export { openActivity } from './sessions/activity.ts'
export { endLoginSessionsOf, sweepLoginSessions } from './sessions/end.ts'
export { openStepUp } from './step-up/ask.ts'
export { stepUpPages } from './step-up/pages.ts'
export { stepUpRoutes, stepUpsOf } from './step-up/routes.ts'
