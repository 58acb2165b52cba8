import { ENTRY_MAX_BYTES } from './tree/hash.ts'

/** What one row of `ledger_segment` holds at most: the sequencer hashes it in one piece, and a bundle of 8 MiB is read at once. */
export const SEGMENT_MAX_ENTRIES = 4096
const SEGMENT_MAX_BYTES = 8 * 1024 * 1024

/** Where a batch begins; it doubles as it fills. */
const FIRST_BYTES = 64 * 1024
/** As many as are filled and written at once, and one more; larger ones are of a burst and go. */
const KEPT_BUFFERS = 4
const KEPT_MAX_BYTES = 1024 * 1024
const LENGTH_BYTES = 2
/** UTF-8 of one UTF-16 unit. */
const UNIT_MAX_BYTES = 3

/**
 * Buffers of batches that are written, for the next ones. Memory outside the heap that comes and goes a thousand times a second makes the
 * engine collect all of the heap again and again, and everybody waits meanwhile.
 */
export class BatchMemory {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafe(FIRST_BYTES)
  }

  /** Nobody may read it any more. */
  give(buffer: Buffer): void {
    if (this.#free.length < KEPT_BUFFERS && buffer.length <= KEPT_MAX_BYTES) this.#free.push(buffer)
  }
}

/** Leaves that become durable together. Whoever adds one waits for the same promise: `durable`. */
export class Batch {
  readonly at: Date
  readonly durable: Promise<void>
  readonly #settle: { resolve: () => void; reject: (why: unknown) => void }
  readonly #memory: BatchMemory
  #bytes: Buffer
  #used = 0
  #size = 0
  #isOver = false

  constructor(at: Date, memory: BatchMemory) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.at = at
    this.#memory = memory
    this.#bytes = memory.take()
    this.durable = promise
    this.#settle = { resolve, reject }
    // Each caller awaits it too; a batch whose callers have all gone away must not end the process.
    promise.catch(() => undefined)
  }

  get size(): number {
    return this.#size
  }

  get sizeBytes(): number {
    return this.#used
  }

  /** Whether its callers have their answer. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** C2SP tlog-tiles: the entries, each behind its length as a big-endian uint16. */
  get bodies(): Buffer {
    return this.#bytes.subarray(0, this.#used)
  }

  /** Adds a leaf; false when there is no room for it. Throws a RangeError for one that no tile can hold. */
  add(leaf: string): boolean {
    if (this.#size === SEGMENT_MAX_ENTRIES) return false
    const mostBytes = leaf.length * UNIT_MAX_BYTES
    const isLong = mostBytes > ENTRY_MAX_BYTES
    const roomBytes = LENGTH_BYTES + (isLong ? Buffer.byteLength(leaf) : mostBytes)
    if (isLong && roomBytes - LENGTH_BYTES > ENTRY_MAX_BYTES) {
      throw new RangeError(`An entry has at most ${ENTRY_MAX_BYTES} bytes.`)
    }
    if (this.#used + roomBytes > SEGMENT_MAX_BYTES) return false
    this.#makeRoom(roomBytes)
    const bytes = this.#bytes.write(leaf, this.#used + LENGTH_BYTES, 'utf8')
    this.#bytes.writeUInt16BE(bytes, this.#used)
    this.#used += LENGTH_BYTES + bytes
    this.#size += 1
    return true
  }

  resolve(): void {
    this.#isOver = true
    this.#settle.resolve()
  }

  reject(why: unknown): void {
    this.#isOver = true
    this.#settle.reject(why)
  }

  /** Gives its memory back: for after the last look at `bodies`. */
  release(): void {
    this.#memory.give(this.#bytes)
    this.#bytes = NONE
    this.#used = 0
  }

  #makeRoom(sizeBytes: number): void {
    let room = this.#bytes.length
    while (this.#used + sizeBytes > room) room *= 2
    if (room === this.#bytes.length) return
    const grown = Buffer.allocUnsafe(room)
    this.#bytes.copy(grown, 0, 0, this.#used)
    this.#memory.give(this.#bytes)
    this.#bytes = grown
  }
}

const NONE = Buffer.alloc(0)
