import type { RefusalCount } from '../access/access.ts'
import type { RecordedOperation } from './gateway.ts'

/** Actions are of the catalog; more of them than this in one session are none of ours. */
const MOST = 100

/** How many operations of a session were refused, or would have been: by action, for whoever asks what enforcing costs. */
export class RefusalCounts {
  readonly #counts = new Map<string, RefusalCount>()

  count({ action, outcome, wouldRefuse }: RecordedOperation): void {
    if (outcome !== 'refused' && wouldRefuse === undefined) return
    const kind = outcome === 'refused' ? 'refused' : 'would-refuse'
    const key = `${kind} ${action}`
    const seen = this.#counts.get(key)
    if (!seen && this.#counts.size >= MOST) return
    this.#counts.set(key, { action, outcome: kind, count: (seen?.count ?? 0) + 1 })
  }

  all(): readonly RefusalCount[] {
    return [...this.#counts.values()]
  }
}
