import { countLeases, runObligations, type CredentialNeeds, type Obligations } from '../credentials/credentials.ts'
import { every } from '../kernel/timer.ts'
import type { DomainParts } from './parts.ts'

/** How often the open obligations are counted for the metrics. */
const COUNT_MS = 5_000

/** What ends leases, on a worker; on any other node nothing does. */
export function openObligations(
  { config, ground, log, metrics, stop }: DomainParts,
  needs: CredentialNeeds,
): Obligations {
  if (!config.node.roles.includes('worker')) return { wake: () => undefined, done: Promise.resolve() }
  const ending = new AbortController()
  const obligations = runObligations(ground.db, needs, ending.signal)
  const open = metrics.gauge('reeve_leases_open', 'Leases that are not yet proven dead, by state.', ['state'])
  const timer = every(COUNT_MS, () => {
    countLeases(ground.db, needs).then(
      (counts) => {
        for (const [state, count] of Object.entries(counts)) if (typeof count === 'number') open.set({ state }, count)
      },
      (error: unknown) => log.warn({ err: error }, 'leases could not be counted'),
    )
  })
  stop.add('obligations', {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      ending.abort(new Error('this node stops'))
      await obligations.done
    },
  })
  return obligations
}
