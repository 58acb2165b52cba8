/** The thread of `readAside`: reads one document and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { readOverrides } from '../../catalog/catalog.ts'
import { readTeams } from '../../identities/identities.ts'
import { DocumentInvalid } from '../../kernel/document.ts'
import { readCalendar } from '../calendar.ts'
import { floorFault } from '../floor.ts'
import type { DocumentMessage, DocumentWork } from './document.ts'

function say(message: DocumentMessage): void {
  // An empty list: nothing is handed over, all is copied.
  parentPort?.postMessage(message, [])
}

/** The one who starts the thread passes nothing else. */
function isWork(data: unknown): data is DocumentWork {
  return typeof data === 'object' && data !== null && 'kind' in data
}

function read(work: DocumentWork) {
  if (work.kind === 'teams') return readTeams(work.text, 'the document')
  if (work.kind === 'calendar') return readCalendar(work.text, 'the document')
  const { text, offered } = work
  return readOverrides(text, 'the document', { offered, faultOf: floorFault })
}

if (!isWork(workerData)) throw new Error('There is nothing to read.')
try {
  say({ kind: 'done', document: read(workerData) })
} catch (error) {
  if (!(error instanceof DocumentInvalid)) throw error
  say({ kind: 'invalid', detail: error.message, faults: error.faults })
}
