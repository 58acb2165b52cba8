/**
 * Work that costs little more for many than for one, such as what one transaction makes durable: whoever asks while a batch is under way is in the
 * next one. Nobody waits for more to come.
 */
import { unavailable } from './problem.ts'
import { nextTurn } from './timer.ts'

export type TogetherTerms = {
  /** In one batch. */
  readonly most: number
  /** How many batches may be under way at once. */
  readonly lanes: number
  /** When nothing is under way any more, and nobody waits. */
  readonly onIdle?: () => void
}

type Waiting<Asked, Answer> = {
  readonly asked: Asked
  readonly signal: AbortSignal | undefined
  readonly resolve: (answer: Answer) => void
  readonly reject: (why: unknown) => void
}

/** Who waits has a connection of their own open; beyond this they had better be told. */
const MOST_WAITING = 10_000

export class Together<Asked, Answer> {
  readonly #run: (asked: readonly Asked[]) => Promise<readonly Answer[]>
  readonly #terms: TogetherTerms
  readonly #waiting: Waiting<Asked, Answer>[] = []
  #busy = 0

  /** `run` gives an answer for each, in their order. What it throws is everybody's. */
  constructor(run: (asked: readonly Asked[]) => Promise<readonly Answer[]>, terms: TogetherTerms) {
    this.#run = run
    this.#terms = terms
  }

  isIdle(): boolean {
    return this.#busy === 0 && this.#waiting.length === 0
  }

  /** Rejects with `unavailable` where too many wait, and with the signal's reason once it aborts: who did not begin yet is left out then. */
  async ask(asked: Asked, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#waiting.length >= MOST_WAITING) {
      throw unavailable('More waits here than this node may hold; try again in a moment.', { retryAfterSeconds: 1 })
    }
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const giveUp = () => reject(signal?.reason)
    signal?.addEventListener('abort', giveUp, { once: true })
    this.#waiting.push({ asked, signal, resolve, reject })
    if (this.#busy < this.#terms.lanes) void this.#work()
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  async #work(): Promise<void> {
    this.#busy += 1
    // Whatever asks in this turn of the event loop is in the first one already.
    await nextTurn()
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#terms.most).filter(({ signal }) => signal?.aborted !== true)
      if (batch.length > 0) await this.#answer(batch)
    }
    this.#busy -= 1
    if (this.#busy === 0) this.#terms.onIdle?.()
  }

  async #answer(batch: readonly Waiting<Asked, Answer>[]): Promise<void> {
    try {
      const answers = await this.#run(batch.map(({ asked }) => asked))
      if (answers.length !== batch.length) throw new Error('not everybody was answered')
      for (const [at, answer] of answers.entries()) batch[at]?.resolve(answer)
    } catch (why) {
      for (const { reject } of batch) reject(why)
    }
  }
}
