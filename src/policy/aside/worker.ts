/** The thread of `buildPolicySetAside`: builds one set and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { MAX_FAULTS, policySetInvalid, type Fault } from '../faults.ts'
import { buildPolicySet } from '../policy-set.ts'
import type { Message, Work } from './message.ts'

/** Taking so many apart is well under a millisecond for whoever receives them. */
const POLICIES_PER_MESSAGE = 32

function say(message: Message): void {
  // An empty list: nothing is handed over, all is copied.
  parentPort?.postMessage(message, [])
}

/** The one who starts the thread passes nothing else. */
function isWork(data: unknown): data is Work {
  return Array.isArray(data)
}

const Facts = z.object({ faults: z.array(z.custom<Fault>((fault) => typeof fault === 'object')).max(MAX_FAULTS) })

if (!isWork(workerData)) throw new Error('There is nothing to build.')
try {
  const { policies, schema: _itHasThat, ...rest } = buildPolicySet(...workerData)
  const entries = [...policies]
  for (let from = 0; from < entries.length; from += POLICIES_PER_MESSAGE) {
    say({ kind: 'policies', policies: entries.slice(from, from + POLICIES_PER_MESSAGE) })
  }
  say({ kind: 'done', rest })
} catch (error) {
  if (!policySetInvalid.is(error)) throw error
  say({ kind: 'invalid', detail: error.message, faults: Facts.parse(error.facts).faults })
}
