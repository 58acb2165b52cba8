/** The memory that the server's bytes are read into, handed over when a write could not finish at once (core 26). */
export class ReadMemory {
  static readonly sizeBytes = 64 * 1024
  #buffer = Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
  #isHandedOver = false

  /** Somebody still needs what is in it: the next read gets other memory. */
  handOver(): void {
    this.#isHandedOver = true
  }

  next(): Buffer {
    if (this.#isHandedOver) {
      this.#buffer = Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
      this.#isHandedOver = false
    }
    return this.#buffer
  }
}
