/** The thread of `readAside`: reads one document and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { DocumentInvalid } from '../../kernel/document.ts'
import type { DocumentMessage } from './document.ts'
import { readHere, type DocumentWork } from './read.ts'

function say(message: DocumentMessage): void {
  // An empty list: nothing is handed over, all is copied.
  parentPort?.postMessage(message, [])
}

/** The one who starts the thread passes nothing else. */
function isWork(data: unknown): data is DocumentWork {
  return typeof data === 'object' && data !== null && 'kind' in data
}

if (!isWork(workerData)) throw new Error('There is nothing to read.')
try {
  say({ kind: 'done', document: readHere(workerData) })
} catch (error) {
  if (!(error instanceof DocumentInvalid)) throw error
  say({ kind: 'invalid', detail: error.message, faults: error.faults })
}
