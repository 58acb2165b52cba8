import { ReadMemory } from './read-memory.ts'

// Bounds of one session in time and memory.

/** How long an ended session may take to reach the end of the message it is in, and a peer to read our last word. */
export const BOUNDARY_MS = 250
export const FAREWELL_MS = 1_000
/**
 * Answers owed at once. Above it nothing more is read from the client until half of them came; the server holds back fewer answers than
 * that (8 KiB of five bytes each), so it never waits for the client while the client waits for it.
 */
export const MOST_AWAITED = 16_384

/**
 * What may wait to be sent before the other side is no longer read. A multiple of what is read at once: a stream says that it is full at one
 * such piece, even where the system took it at once, and reading would stop and start for each.
 */
export const MOST_UNSENT_BYTES = 4 * ReadMemory.sizeBytes
/** Copying less than this is cheaper than other memory. */
export const LITTLE_BYTES = 8 * 1024

/** Behind a statement that waits. More is left with the client. */
export const MOST_PARKED_BYTES = 1024 * 1024
