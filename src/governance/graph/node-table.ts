const WORDS = 4
const NOBODY = -1
/** A table this full is made larger; probes stay short. */
const FULL = 0.6
const FIRST_SLOTS = 1 << 16

/**
 * Small numbers for ids of sixteen bytes: open addressing over typed arrays, about forty bytes a node. A `Map` of the texts would take ten times
 * that for a million.
 */
export class NodeTable {
  #ids = new Int32Array((FIRST_SLOTS / 2) * WORDS)
  #slots = new Int32Array(FIRST_SLOTS).fill(NOBODY)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The number of the id at `at`, a new one when it was not met yet. */
  numberOf(bytes: Buffer, at: number): number {
    const slot = this.#slotOf(bytes, at)
    const found = this.#slots[slot] ?? NOBODY
    if (found !== NOBODY) return found
    const made = this.#size
    if ((made + 1) * WORDS > this.#ids.length) this.#ids = grown(this.#ids)
    for (let word = 0; word < WORDS; word += 1) this.#ids[made * WORDS + word] = bytes.readInt32BE(at + word * 4)
    this.#slots[slot] = made
    this.#size += 1
    if (this.#size > this.#slots.length * FULL) this.#rehash()
    return made
  }

  /** The number of an id that was met, or undefined. */
  find(bytes: Buffer, at = 0): number | undefined {
    const found = this.#slots[this.#slotOf(bytes, at)] ?? NOBODY
    return found === NOBODY ? undefined : found
  }

  /** Writes the id of a number. */
  writeTo(target: Buffer, at: number, node: number): void {
    for (let word = 0; word < WORDS; word += 1) target.writeInt32BE(this.#ids[node * WORDS + word] ?? 0, at + word * 4)
  }

  #slotOf(bytes: Buffer, at: number): number {
    const [a, b] = [bytes.readInt32BE(at), bytes.readInt32BE(at + 4)]
    const [c, d] = [bytes.readInt32BE(at + 8), bytes.readInt32BE(at + 12)]
    const mask = this.#slots.length - 1
    for (let slot = mixed(a, b, c, d) & mask; ; slot = (slot + 1) & mask) {
      const node = this.#slots[slot] ?? NOBODY
      if (node === NOBODY) return slot
      const place = node * WORDS
      const ids = this.#ids
      if (ids[place] === a && ids[place + 1] === b && ids[place + 2] === c && ids[place + 3] === d) return slot
    }
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(NOBODY)
    const mask = slots.length - 1
    for (let node = 0; node < this.#size; node += 1) {
      const place = node * WORDS
      const hash = mixed(
        this.#ids[place] ?? 0,
        this.#ids[place + 1] ?? 0,
        this.#ids[place + 2] ?? 0,
        this.#ids[place + 3] ?? 0,
      )
      let slot = hash & mask
      while (slots[slot] !== NOBODY) slot = (slot + 1) & mask
      slots[slot] = node
    }
    this.#slots = slots
  }
}

/** Ids that are made by time differ in few bits, so all of them are stirred (MurmurHash3's finisher). */
function mixed(a: number, b: number, c: number, d: number): number {
  let hash = a ^ Math.imul(b, 0x9e3779b1) ^ Math.imul(c, 0x85ebca6b) ^ Math.imul(d, 0xc2b2ae35)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function grown(ids: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(ids.length * 2)
  larger.set(ids)
  return larger
}
