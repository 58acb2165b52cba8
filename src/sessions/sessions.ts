/**
 * A session is one brokered connection under a grant; what it did is its recording. Opened → ended, and nothing else: a stop is asked for on the
 * row and carried out by the node that holds it. The recording is lines in frames with a running digest that goes into the ledger every
 * minute and at the end, so that an edit, a cut or an addition shows; its values are sealed under a key of the session's own.
 *
 * The trade: up to 250 ms of operations are lost with a killed process, and none with a session that ended or was sealed.
 */
export { openLiveSessions, type LiveNeeds, type LiveSessions } from './live.ts'
export { play, verify } from './play.ts'
export { folderStore, type RecordingStore } from './recording/store.ts'

export { listSessions, sessionResource } from './records.ts'
export { sessionRoutes } from './routes.ts'
export { closeSession, openSession, type OpenedSession } from './row.ts'
export type { RunningSession } from './running.ts'
export { stopSession } from './stop.ts'
