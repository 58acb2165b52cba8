import type { Missing } from './scope.ts'

/** Things that were not seen and are named one by one. */
const NAMED = 20

/** What was not seen on the way to the things themselves: a list within a list, one thing of many. */
export class Holes {
  readonly missing: Missing[] = []
  denied = 0
  #more = 0

  add(missing: Missing): void {
    if (this.missing.length < NAMED) this.missing.push(missing)
    else this.#more += 1
  }

  all(): Missing[] {
    if (this.#more === 0) return this.missing
    return [...this.missing, { what: `the same of ${this.#more} more`, why: 'as of those that are named' }]
  }
}
