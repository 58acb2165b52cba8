/**
 * How identities come, move and go. An identity provider says it by SCIM (`scim/`), other systems report what ended, dates act by themselves. Who
 * comes has nothing; who moves attests again; who goes is stopped in the same transaction, and a case carries them out of the record:
 * opened → suspended → checked → soaking → retired → closed, reversible until retired, closed only when all they held is proven dead.
 *
 * The trade: a leaver's person stays in the record, suspended, for the days of the soak, so that a mistake upstream costs a day and not a person.
 */
export { membersOfGroups } from './feed.ts'
export type { LifecycleNeeds } from './needs.ts'
export { lifecycleRoutes } from './routes.ts'
export { openCursors } from './scim/cursor.ts'
export { scimDoor } from './scim/door.ts'
export { advanceCases } from './steps.ts'
export { sweepDates } from './sweep.ts'
export { webhookDoor } from './webhook.ts'
