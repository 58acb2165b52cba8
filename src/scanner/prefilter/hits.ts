/** Where something may begin: words of fragments, and runs of characters that base64 or hex would need. */
export type Hits = {
  readonly positions: Uint32Array
  count: number
  /** Places inside runs of at least 32 such characters; every run of 47 has one. */
  readonly runs: Uint32Array
  runCount: number
}

/** Bytes that are looked at in one go: with the tables they stay in a core's second cache. */
export const BLOCK_BYTES = 65_536

/** Looks at the bytes between two places, at most BLOCK_BYTES. Places are counted from the first of them and ascend; the next block overwrites them. */
export type ScanBlock = (bytes: Uint8Array, from: number, to: number) => Hits
