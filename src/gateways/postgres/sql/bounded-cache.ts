/** Two bytes a character, and what an analysis of a short text takes beside it. */
const CHARACTER_BYTES = 8
const ENTRY_BYTES = 1024

/** Keeps what was used last, within a number of bytes estimated from the length of the keys. */
export class BoundedCache<T> {
  readonly #entries: Map<string, T> = new Map()
  readonly #limitBytes: number
  #sizeBytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get(key: string): T | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    // Moving on every hit costs more than it gives while nothing is being evicted.
    if (this.#sizeBytes > this.#limitBytes / 2) {
      this.#entries.delete(key)
      this.#entries.set(key, value)
    }
    return value
  }

  /** Drops the longest unused until `key` fits; what alone would take an eighth is not kept. */
  set(key: string, value: T): void {
    const costBytes = cost(key)
    if (costBytes > this.#limitBytes / 8) return
    if (this.#entries.delete(key)) this.#sizeBytes -= costBytes
    for (const oldest of this.#entries.keys()) {
      if (this.#sizeBytes + costBytes <= this.#limitBytes) break
      this.#entries.delete(oldest)
      this.#sizeBytes -= cost(oldest)
    }
    this.#entries.set(key, value)
    this.#sizeBytes += costBytes
  }
}

function cost(key: string): number {
  return ENTRY_BYTES + CHARACTER_BYTES * key.length
}
