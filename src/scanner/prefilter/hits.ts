/** Where a shape may stand, and where runs of characters do that base64 or hex would need. */
export type Hits = {
  /** Two for each: the place where the shape would begin, which may lie before the first byte, and the shape's number. In order of what was seen of them. */
  found: Int32Array
  count: number
  /** Places inside runs of at least 32 such characters; every run of 47 has one. */
  readonly runs: Int32Array
  runCount: number
}

/** Bytes that are looked at in one go: with the tables they stay in a core's second cache. */
export const BLOCK_BYTES = 65_536

/** Looks at the bytes between two places, at most BLOCK_BYTES. Places are counted from the first of them; the next block overwrites them. */
export type ScanBlock = (bytes: Uint8Array, from: number, to: number) => Hits
