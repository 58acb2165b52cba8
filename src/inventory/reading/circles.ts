/** So many pages in a row that told nothing new, and led nowhere new, are a source that goes round in circles. */
const PAGES_OF_NOTHING = 20
/** Pages in a row that told nothing and led on: of a long list in which few have anything to tell. */
const PAGES_OF_SILENCE = 20_000
/** At each power of two of pages that told something it is counted, from here on, whether any of it was new since the last one. */
const COUNTED_FROM = 64

/** Pages that are remembered by what they told. */
const PAGES_REMEMBERED = 4096

/** `digest`: of all that it told; undefined where that was nothing. */
type Page = { readonly cursor: string | undefined; readonly digest: string | undefined }

/**
 * Notices a source that never ends: cursors that come again, pages that come again, and the same things in ever other pages, which only
 * counting shows. In bounded memory, whatever the source sends.
 */
export class Circles {
  readonly #countTold: () => Promise<number>
  #remembered: string | undefined
  #steps = 0
  #until = 1
  #empty = 0
  #silent = 0
  #telling = 0
  readonly #told = new Set<string>()
  #toldBefore = -1

  /** `countTold`: how many things were told so far, each once. */
  constructor(countTold: () => Promise<number>) {
    this.#countTold = countTold
  }

  async hasClosed({ cursor, digest }: Page): Promise<boolean> {
    if (this.#isAgain(cursor)) return true
    if (digest === undefined && cursor !== undefined) {
      this.#silent += 1
      return this.#silent >= PAGES_OF_SILENCE
    }
    this.#silent = 0
    this.#empty = this.#isNews(digest) ? 0 : this.#empty + 1
    return this.#empty >= PAGES_OF_NOTHING || this.#tellsNothingNew()
  }

  #isNews(digest: string | undefined): boolean {
    if (digest === undefined || this.#told.has(digest)) return false
    if (this.#told.size === PAGES_REMEMBERED) this.#told.clear()
    this.#told.add(digest)
    return true
  }

  /** Brent's way to notice a circle with one remembered place: it is moved on at every power of two. */
  #isAgain(cursor: string | undefined): boolean {
    if (cursor === undefined) return false
    if (cursor === this.#remembered) return true
    this.#steps += 1
    if (this.#steps === this.#until) {
      this.#remembered = cursor
      this.#until *= 2
      this.#steps = 0
    }
    return false
  }

  async #tellsNothingNew(): Promise<boolean> {
    this.#telling += 1
    if (this.#telling < COUNTED_FROM || (this.#telling & (this.#telling - 1)) !== 0) return false
    const told = await this.#countTold()
    const isNothing = told === this.#toldBefore
    this.#toldBefore = told
    return isNothing
  }
}
