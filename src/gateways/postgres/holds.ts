import type { LiveSession } from '../gateway.ts'
import type { Subject } from './trace.ts'

/** An operation that waits for a person: what it is, and the class that says so. */
export type Held = { readonly class: string; readonly subject: Subject }

export type HoldsNeeds = {
  readonly live: Pick<LiveSession, 'hold'>
  readonly forSeconds: number
  /** A sentence for the client. */
  readonly tell: (sentence: string) => void
  /** It was decided: the client's bytes go on from the frame that waits. */
  readonly settled: () => void
}

/** What came of one wait. `sentence` refuses; without one the very frame that waited may pass, once. */
type Verdict = { readonly sentence: string | undefined; readonly isCancelled: boolean }

/**
 * The one operation of a session that waits for a person. Nothing behind it is looked at meanwhile, so what is released is the frame that
 * waited and nothing else.
 */
export class Holds {
  readonly #needs: HoldsNeeds
  #waiting: { readonly held: Held; readonly stop: AbortController } | undefined
  #verdict: Verdict | undefined

  constructor(needs: HoldsNeeds) {
    this.#needs = needs
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined
  }

  /** What waits, for the recording of a session that ends meanwhile. */
  get held(): Held | undefined {
    return this.#waiting?.held
  }

  /** Begins to wait. */
  begin(held: Held): void {
    if (this.#waiting) throw new Error('one operation of a session waits at a time')
    const stop = new AbortController()
    this.#waiting = { held, stop }
    const { action, label, statement } = held.subject
    const { forSeconds, tell, live } = this.#needs
    const operation = { class: held.class, action, label, statement, forSeconds, onHeld: tell }
    void live.hold(operation, stop.signal).then((sentence) => {
      this.#waiting = undefined
      // A release that came at the moment of a cancel is spent, and the statement is not run all the same.
      this.#verdict = { sentence, isCancelled: stop.signal.aborted }
      this.#needs.settled()
    })
  }

  /** The client takes it back, or the session ends: it will not run. False when nothing waits. */
  cancel(): boolean {
    this.#waiting?.stop.abort()
    return this.#waiting !== undefined
  }

  /** The verdict on the frame that waited, once. */
  take(): Verdict | undefined {
    const verdict = this.#verdict
    this.#verdict = undefined
    return verdict
  }
}
