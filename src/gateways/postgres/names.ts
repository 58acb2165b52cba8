import type { Undo } from './trace.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** A client that keeps more named statements or portals than this is refused. */
const MOST_NAMES = 10_000

const MOST_NAME_BYTES = 63
const MOST_CHARACTER_BYTES = 4

/**
 * The server cuts names to 63 bytes of its own encoding (NAMEDATALEN), so that two longer ones may be one to it. Only names that it cuts
 * in no encoding are let through.
 */
export function isCutByServer(name: string): boolean {
  const isAscii = Buffer.byteLength(name) === name.length
  return name.length * (isAscii ? 1 : MOST_CHARACTER_BYTES) > MOST_NAME_BYTES
}

/**
 * What the server knows by name, followed ahead of its answers: a change counts from when it is sent, and is taken back when the server
 * did not make it. Were it otherwise, a statement could run under the name, and the record, of another.
 */
export class Names<T> {
  readonly #what: string
  readonly #known = new Map<string, T>()

  constructor(what: string) {
    this.#what = what
  }

  get(name: string): T | undefined {
    return this.#known.get(name)
  }

  set(name: string, value: T): Undo {
    if (this.#known.size >= MOST_NAMES && !this.#known.has(name)) {
      throw new WireError(sqlState.programLimitExceeded, `This session keeps more than ${MOST_NAMES} ${this.#what}.`)
    }
    const before = this.#known.get(name)
    this.#known.set(name, value)
    return (hasFailed) => this.#restore(name, hasFailed && name === '' ? undefined : before)
  }

  delete(name: string): Undo {
    const before = this.#known.get(name)
    if (before !== undefined) this.#known.delete(name)
    return () => this.#restore(name, before)
  }

  /** Forgets those that are over, where there are many. */
  purge(isOver: (value: T) => boolean): void {
    if (this.#known.size < MOST_NAMES) return
    for (const [name, value] of this.#known) if (isOver(value)) this.#known.delete(name)
  }

  /** A failed Parse or Bind without a name leaves nothing: the server drops the old one first (exec_parse_message). */
  #restore(name: string, value: T | undefined): void {
    if (value === undefined) this.#known.delete(name)
    else this.#known.set(name, value)
  }
}
