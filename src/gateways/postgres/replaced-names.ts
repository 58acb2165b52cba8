import type { Trace } from './trace.ts'

/** More names in doubt than this, and every name is. */
const MOST_NAMES = 10_000

/**
 * Names of statements that were given to another statement. Whether the server made the change is known when it answered: until then a
 * later unit of the pipeline could run the old statement under the record of the new one.
 */
export class ReplacedNames {
  readonly #trace: Pick<Trace, 'boundariesSent' | 'boundariesAnswered' | 'isIdle'>
  /** With the number of boundaries that had been sent. */
  readonly #changed = new Map<string, number>()
  #allSince: number | undefined

  constructor(trace: Pick<Trace, 'boundariesSent' | 'boundariesAnswered' | 'isIdle'>) {
    this.#trace = trace
  }

  /** A change of `name` goes to the server, where the name may stand for something already. */
  note(name: string, isTaken: boolean): void {
    if (!isTaken && !this.#changed.has(name) && this.#allSince === undefined) return
    if (this.#changed.size >= MOST_NAMES) {
      this.#changed.clear()
      this.#allSince = this.#trace.boundariesSent
    }
    this.#changed.set(name, this.#trace.boundariesSent)
  }

  /** Behind a change in the same unit it is: had that failed, what follows would be skipped. */
  isKnown(name: string): boolean {
    const { boundariesSent, boundariesAnswered, isIdle } = this.#trace
    const since = this.#changed.get(name) ?? this.#allSince
    if (since === undefined || since === boundariesSent) return true
    if (!isIdle && boundariesAnswered <= since) return false
    this.#changed.delete(name)
    return true
  }
}
