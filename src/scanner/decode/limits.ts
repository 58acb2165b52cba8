/** How far encoded and packed things are followed; what lies beyond is reported, never left out in silence. */
export type Limits = {
  /** Packings inside each other: an archive in an archive is two. */
  readonly depth: number
  /** All that one file of the source may unpack to. */
  readonly expandedBytes: number
  /** What one byte may unpack to on average, once a megabyte came out. */
  readonly ratio: number
  /** Entries of one file of the source, through all archives in it. */
  readonly entries: number
  /** What is held of one entry or file at a time. */
  readonly entryBytes: number
}

export const LIMITS: Limits = {
  depth: 6,
  expandedBytes: 2 * 1024 ** 3,
  ratio: 300,
  entries: 200_000,
  entryBytes: 64 * 1024 ** 2,
}

/** Below this a high ratio is nothing: an empty page packs a thousandfold. */
const RATIO_FROM_BYTES = 4 * 1024 ** 2

/** What one file of the source may still cost. */
export type Budget = {
  /** Counts what came out; the reason to stop, when that was too much. */
  spend(expandedBytes: number): string | undefined
  /** Counts an entry. */
  entry(): string | undefined
  /** What may still come out. */
  leftBytes(): number
}

export function budgetFor(limits: Limits, packedBytes: number): Budget {
  let [expanded, entries] = [0, 0]
  return {
    spend: (bytes) => {
      expanded += bytes
      if (expanded > limits.expandedBytes) return `it unpacks to more than ${limits.expandedBytes} bytes`
      const isBomb = expanded > RATIO_FROM_BYTES && expanded > packedBytes * limits.ratio
      return isBomb ? `it unpacks to more than ${limits.ratio} times its size` : undefined
    },
    entry: () => {
      entries += 1
      return entries > limits.entries ? `it has more than ${limits.entries} entries` : undefined
    },
    leftBytes: () =>
      Math.max(
        0,
        Math.min(limits.expandedBytes - expanded, Math.max(RATIO_FROM_BYTES, packedBytes * limits.ratio) - expanded) +
          1,
      ),
  }
}
