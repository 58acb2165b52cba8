import { Unreadable } from './unreadable.ts'

/** So many pages in a row that begin and end with the same things are a list that goes round, whatever its next place is called. */
const PAGES_ALIKE = 100
/** More pages than any list has. */
const PAGES_MAX = 100_000

/** Notices a list that has no end while it is held whole: the reconciler, which sees what is told, does not see it. */
export class Rounds {
  #before = ''
  #alike = 0
  #pages = 0

  /** Throws `Unreadable` where the list goes round. */
  page(items: readonly unknown[]): void {
    this.#pages += 1
    if (this.#pages > PAGES_MAX) throw new Unreadable('the source lists more than any source has')
    if (items.length === 0) return
    const ends = endsOf(items)
    this.#alike = ends === this.#before ? this.#alike + 1 : 0
    this.#before = ends
    if (this.#alike >= PAGES_ALIKE) throw new Unreadable('the source gives the same pages again and again')
  }
}

/** Undefined writes as nothing, and what nests deeper than can be written as one of its kind. */
function endsOf(items: readonly unknown[]): string {
  try {
    return `${items.length} ${JSON.stringify(items[0])} ${JSON.stringify(items.at(-1))}`
  } catch {
    return `${items.length} deep`
  }
}
