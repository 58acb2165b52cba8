import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { DocumentInvalid, type DocumentFault } from '../../kernel/document.ts'
import { documentInvalid } from '../versions/contract.ts'
import { readHere, type Documents, type DocumentWork } from './read.ts'

/** What the thread says. */
export type DocumentMessage =
  | { readonly kind: 'done'; readonly document: Documents[keyof Documents] }
  | { readonly kind: 'invalid'; readonly detail: string; readonly faults: readonly DocumentFault[] }

/** The same text is read several times in a row: when it is proposed, shown, asked for and taken. */
const MOST_KEPT = 8
const kept = new Map<string, Promise<Documents[keyof Documents]>>()

/** So much is read in a few milliseconds; to start a thread takes a third of a second. */
const READ_HERE_CHARACTERS = 8_192

/**
 * Reads a document, a big one in a thread of its own: it takes tenths of a second, in one piece. Throws `documentInvalid` with the place of each
 * fault.
 */
export async function readAside<Work extends DocumentWork>(work: Work): Promise<Documents[Work['kind']]> {
  const key = JSON.stringify(work)
  const known = kept.get(key) ?? (work.text.length > READ_HERE_CHARACTERS ? inThread(work) : here(work))
  kept.delete(key)
  kept.set(key, known)
  const [oldest] = kept.keys()
  if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest)
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the thread answers with the document of the kind it was asked for
    return (await known) as Documents[Work['kind']]
  } catch (error) {
    kept.delete(key)
    throw error
  }
}

async function here(work: DocumentWork): Promise<Documents[keyof Documents]> {
  try {
    return readHere(work)
  } catch (error) {
    if (!(error instanceof DocumentInvalid)) throw error
    throw documentInvalid(error.message, { faults: [...error.faults] })
  }
}

function inThread(work: DocumentWork): Promise<Documents[keyof Documents]> {
  // The package has JavaScript in its place.
  const file = new URL(`./document-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(file, { workerData: work })
  return new Promise((resolve, reject) => {
    worker.on('message', (message: DocumentMessage) => {
      if (message.kind === 'done') resolve(message.document)
      else reject(documentInvalid(message.detail, { faults: [...message.faults] }))
    })
    worker.on('error', reject)
    worker.on('exit', () => reject(new Error('The thread that reads a document ended without an answer.')))
  })
}
