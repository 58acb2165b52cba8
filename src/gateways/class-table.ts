import type { Clock } from '../kernel/clock.ts'

export type ClassTableNeeds = {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** What stands behind the table; a change of it voids what was decided. */
  readonly epoch: () => string
  /** Decides again: reasons why not, none when everything still holds. */
  readonly decide: () => Promise<readonly string[]>
  /** Said about an action the grant does not cover: what to request. */
  readonly uncovered: (action: string) => string
}

/** How long a decision that could not be made again waits for its next try. */
const RETRY_MS = 500

const RENEWING = 'The policies changed and this session is being decided again. Try again in a moment.'
const EXPIRED = 'The time of this grant is over. Request again if it is still needed.'

/**
 * What a session may do, decided once and looked up per operation (core 5). Void when the policies change, until it was decided again,
 * and from the grant's end of time on, measured on a clock that never jumps.
 */
export class ClassTable {
  readonly #needs: ClassTableNeeds
  readonly #actions: ReadonlySet<string>
  readonly #expiresAtMs: number
  #epoch: string
  #denied: string | undefined
  #isDeciding = false
  #retryAtMs = 0

  /** `epoch` is the one its actions were decided under; `expiresInMs` the time the grant has left. */
  constructor(
    needs: ClassTableNeeds,
    decided: { readonly actions: readonly string[]; readonly epoch: string; readonly expiresInMs: number },
  ) {
    this.#needs = needs
    this.#actions = new Set(decided.actions)
    this.#epoch = decided.epoch
    this.#expiresAtMs = needs.clock.monotonicMs() + decided.expiresInMs
  }

  /** Undefined when the action is covered now, else a sentence for the client. Never waits. */
  refusal(action: string): string | undefined {
    if (this.#needs.clock.monotonicMs() >= this.#expiresAtMs) return EXPIRED
    if (this.#needs.epoch() !== this.#epoch) {
      this.#decideAgain()
      return RENEWING
    }
    if (this.#denied !== undefined) return this.#denied
    return this.#actions.has(action) ? undefined : this.#needs.uncovered(action)
  }

  #decideAgain(): void {
    if (this.#isDeciding || this.#needs.clock.monotonicMs() < this.#retryAtMs) return
    this.#isDeciding = true
    const epoch = this.#needs.epoch()
    this.#needs
      .decide()
      .then(
        (reasons) => {
          this.#epoch = epoch
          this.#denied = reasons.length === 0 ? undefined : `The policies permit this no more. ${reasons.join(' ')}`
        },
        () => {
          this.#retryAtMs = this.#needs.clock.monotonicMs() + RETRY_MS
        },
      )
      .finally(() => {
        this.#isDeciding = false
      })
      .catch(() => undefined)
  }
}
