/** Where something may begin: fragments of literals, and runs of characters that base64 or hex would need. */
export type Hits = {
  readonly positions: Uint32Array
  count: number
  /** Places inside runs of at least 32 such characters; every run of 47 has one. */
  readonly runs: Uint32Array
  runCount: number
}

/** Bytes that are looked at in one go: with the tables they stay in a core's second cache. */
export const BLOCK_BYTES = 65_536

/** Looks at one block of at most BLOCK_BYTES. Places are counted from the block's start and ascend. */
export type ScanBlock = (block: Uint8Array, hits: Hits) => void
