/**
 * Calls of Reeve's own operations that others have to approve (core 7). A change goes pending → approved → used, once, or ends before: denied,
 * withdrawn, expired, void. It keeps the call as it came; what approvers see of it, and the policies that decided, are bound by a hash, and the call
 * runs only as long as all of that is still so.
 */
export { bindCalls } from './bind-call.ts'
export type { ChangeNeeds } from './needs.ts'
export { approvalsOfCalls, changeRoutes } from './routes.ts'
export { expireChanges } from './say.ts'
