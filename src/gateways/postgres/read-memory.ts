/** A client that keeps up needs one more; the rest is given up. */
const MOST_SPARE = 2

/**
 * The memory that the server's bytes are read into (core 26). What a write has not finished with is lent to it, and comes back: memory made
 * anew for each read would be collected at the rate of the traffic.
 */
export class ReadMemory {
  static readonly sizeBytes = 64 * 1024
  readonly #lent: Buffer<ArrayBuffer>[] = []
  readonly #spare: Buffer<ArrayBuffer>[] = []
  #current = Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
  #isLent = false

  /** A write still needs what is in the current memory: the next read gets another. */
  lend(): void {
    this.#isLent = true
  }

  /** Every write is done. */
  takeBack(): void {
    for (const buffer of this.#lent) if (this.#spare.length < MOST_SPARE) this.#spare.push(buffer)
    this.#lent.length = 0
  }

  next(): Buffer {
    if (this.#isLent) {
      this.#lent.push(this.#current)
      this.#current = this.#spare.pop() ?? Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
      this.#isLent = false
    }
    return this.#current
  }
}
