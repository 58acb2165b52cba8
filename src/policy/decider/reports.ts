import type { Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { newId, systemRandom } from '../../kernel/random.ts'
import { sleep } from '../../kernel/timer.ts'
import { MOST_REPORTED, reportDecisions, type Reported } from './contract.ts'
import { LinkFailed, type Link } from './link.ts'

export type ReportLimits = {
  /** Decisions that wait to be entered. */
  readonly mostQueued: number
  /** A privileged act is denied while an entry waits longer than this. */
  readonly lateMs: number
}

const PAUSE_MS = 100
const RETRY_MS = 1_000

type Waiting = { readonly entry: Reported; readonly sinceMs: number }

/** Decisions on their way into the ledger: in batches, bounded, each once. What cannot be kept is counted. */
export class Reports {
  readonly #link: Link
  readonly #clock: Clock
  readonly #log: Log
  readonly #limits: ReportLimits
  readonly #ending = new AbortController()
  readonly #running: Promise<void>
  #waiting: Waiting[] = []
  #lost = 0

  constructor(link: Link, clock: Clock, log: Log, limits: ReportLimits) {
    this.#link = link
    this.#clock = clock
    this.#log = log
    this.#limits = limits
    this.#running = this.#run()
  }

  /** Whether an entry made now would be kept, as far as can be known: a privileged act without one is not permitted. */
  isKeeping(): boolean {
    const [oldest] = this.#waiting
    if (this.#waiting.length >= this.#limits.mostQueued) return false
    return !oldest || this.#clock.monotonicMs() - oldest.sinceMs <= this.#limits.lateMs
  }

  add(entry: Reported): void {
    if (this.#waiting.length >= this.#limits.mostQueued) this.#lost += 1
    else this.#waiting.push({ entry, sinceMs: this.#clock.monotonicMs() })
  }

  counts(): { readonly waiting: number; readonly lost: number } {
    return { waiting: this.#waiting.length, lost: this.#lost }
  }

  /** Sends what waits, once more; what is left then is counted as lost. */
  async close(): Promise<void> {
    this.#ending.abort()
    await this.#running
    while (this.#waiting.length > 0 && (await this.#sendOnce(newId(this.#clock, systemRandom)))) continue
    this.#lost += this.#waiting.length
    this.#waiting = []
  }

  async #run(): Promise<void> {
    let key = newId(this.#clock, systemRandom)
    let batch = 0
    while (!this.#ending.signal.aborted) {
      const isSent = this.#waiting.length === 0 || (await this.#sendOnce(key, batch))
      // The same batch under the same key: an answer that was lost on its way does not enter it twice.
      if (isSent) {
        key = newId(this.#clock, systemRandom)
        batch = 0
      } else batch ||= Math.min(this.#waiting.length, MOST_REPORTED)
      await sleep(isSent ? PAUSE_MS : RETRY_MS, this.#ending.signal).catch(() => undefined)
    }
  }

  async #sendOnce(key: string, size = 0): Promise<boolean> {
    const batch = this.#waiting.slice(0, size === 0 ? MOST_REPORTED : size)
    try {
      const entries = batch.map(({ entry }) => reportDecisions.input.shape.entries.element.encode(entry))
      await this.#link.ask(reportDecisions, { entries }, key)
      this.#waiting.splice(0, batch.length)
      return true
    } catch (error) {
      this.#log.warn({ err: error, waiting: this.#waiting.length }, 'decisions could not be entered; trying again')
      if (!(error instanceof LinkFailed)) throw error
      return false
    }
  }
}
