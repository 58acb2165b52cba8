import type { Clock } from '../kernel/clock.ts'
import { CONTROL_LOST_MS, type UseTerms } from '../access/access.ts'
import { isHeldBy } from '../policy/policy.ts'
import type { Passing } from './gateway.ts'

/** What was decided about a session. */
export type SessionTerms = UseTerms

export type ClassTableNeeds = {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** What stands behind the table; a change of it voids what was decided. */
  readonly epoch: () => string
  /** How often it may not have been heard of: then it is decided again, and what was decided counts until that is done. */
  readonly missed: () => number
  /** Decides again: reasons why not, or what it is held to now. */
  readonly decide: () => Promise<{ readonly reasons: readonly string[]; readonly terms?: SessionTerms }>
  /** Said about an action the grant does not cover: what to request. */
  readonly uncovered: (action: string) => string
}

/** How long a decision that could not be made again waits for its next try. */
const RETRY_MS = 500

/** So long may a session go on by what was decided before hints were missed: as long as without control at all (rule 2). */
const MISSED_MS = CONTROL_LOST_MS

const RENEWING = 'The policies or the target changed and this session is being decided again. Try again in a moment.'
const EXPIRED = 'The time of this grant is over. Request again if it is still needed.'

/**
 * What a session may do, decided once and looked up per operation (core 5). Void when the policies or the target change, until it was
 * decided again, and from the grant's end of time on, measured on a clock that never jumps. Where a change may have been missed it is
 * decided again beside, and goes on.
 */
export class ClassTable {
  readonly #needs: ClassTableNeeds
  readonly #actions: ReadonlySet<string>
  readonly #expiresAtMs: number
  #terms: SessionTerms
  #through: ReadonlySet<string>
  #epoch: string
  #missed: number
  #missedAtMs: number | undefined
  #denied: string | undefined
  #isDeciding = false
  #retryAtMs = 0

  /** `epoch` is the one its actions were decided under; `expiresInMs` the time the grant has left. */
  constructor(
    needs: ClassTableNeeds,
    decided: {
      readonly actions: readonly string[]
      readonly terms: SessionTerms
      readonly epoch: string
      readonly missed: number
      readonly expiresInMs: number
    },
  ) {
    this.#needs = needs
    this.#actions = new Set(decided.actions)
    this.#terms = decided.terms
    this.#through = new Set(decided.terms.through)
    this.#epoch = decided.epoch
    this.#missed = decided.missed
    this.#expiresAtMs = needs.clock.monotonicMs() + decided.expiresInMs
  }

  /** What it was decided to be held to last. */
  get terms(): SessionTerms {
    return this.#terms
  }

  /** Undefined when the action may go on now, else a sentence for the client. Never waits. */
  refusal(action: string): string | undefined {
    if (this.#needs.clock.monotonicMs() >= this.#expiresAtMs) return EXPIRED
    if (this.#needs.epoch() !== this.#epoch) {
      this.#decideAgain()
      return RENEWING
    }
    if (this.#hasMissedTooLong()) return RENEWING
    if (this.#denied !== undefined) return this.#denied
    return this.#actions.has(action) || this.#through.has(action) ? undefined : this.#needs.uncovered(action)
  }

  /** Of an action that is not refused: why it would be if the target enforced. */
  passing(action: string): Passing | undefined {
    return this.#actions.has(action) ? undefined : this.#passing(this.#needs.uncovered(action))
  }

  /** Whether operations of the class wait for a person; of one that is of no class, `any`. */
  holding(held: string): 'held' | Passing | undefined {
    const { mode, holds } = this.#terms
    if (!holds.some((hold) => isHeldBy(hold, held))) return undefined
    return mode === 'enforce'
      ? 'held'
      : this.#passing(`${held === 'any' ? 'Each' : `A ${held}`} operation waits until another person releases it.`)
  }

  /** Decides again when hints may have been missed, and says whether that takes too long. */
  #hasMissedTooLong(): boolean {
    if (this.#needs.missed() === this.#missed) return false
    const nowMs = this.#needs.clock.monotonicMs()
    this.#missedAtMs ??= nowMs
    this.#decideAgain()
    return nowMs - this.#missedAtMs >= MISSED_MS
  }

  #passing(sentence: string): Passing {
    return { sentence, isTold: this.#terms.mode === 'warn' }
  }

  #decideAgain(): void {
    if (this.#isDeciding || this.#needs.clock.monotonicMs() < this.#retryAtMs) return
    this.#isDeciding = true
    const [epoch, missed] = [this.#needs.epoch(), this.#needs.missed()]
    this.#needs
      .decide()
      .then(
        ({ reasons, terms }) => {
          this.#epoch = epoch
          this.#missed = missed
          this.#missedAtMs = undefined
          if (terms) {
            this.#terms = terms
            this.#through = new Set(terms.through)
          }
          const isPermitted = reasons.length === 0 && terms !== undefined
          this.#denied = isPermitted ? undefined : `The policies permit this no more. ${reasons.join(' ')}`
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
