import type { Located } from '../examine.ts'

/** What is looked at in one go of something without an end. */
const WINDOW_BYTES = 4 * 1024 ** 2
/** What two windows share, so that nothing that spans fewer bytes is cut in two. */
const SHARED_BYTES = 64 * 1024

/** Pieces joined to windows that overlap; lines count on from the beginning. */
export async function* readStream(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  look: (bytes: Buffer, path: string) => Generator<Located>,
): AsyncGenerator<{ located?: Located }> {
  let held: Buffer[] = []
  let heldBytes = 0
  let linesBefore = 0
  let seen = new Set<string>()
  const flush = function* (isLast: boolean): Generator<{ located?: Located }> {
    const window = Buffer.concat(held)
    const here = new Set<string>()
    for (const located of look(window, name)) {
      const line = located.line + linesBefore
      const key = `${line}:${located.match.rule}:${located.match.secret}`
      here.add(key)
      if (!seen.has(key)) yield { located: { ...located, line, endLine: located.endLine + linesBefore } }
    }
    seen = here
    const newline = window.lastIndexOf(10, Math.max(0, window.length - SHARED_BYTES))
    const from = isLast ? window.length : newline >= 0 ? newline + 1 : Math.max(0, window.length - SHARED_BYTES)
    for (let at = window.indexOf(10); at >= 0 && at < from; at = window.indexOf(10, at + 1)) linesBefore += 1
    const kept = window.subarray(from)
    // A window without an end of line in it is cut where it is: the rest would grow without bound.
    held = kept.length > WINDOW_BYTES / 2 ? [kept.subarray(kept.length - SHARED_BYTES)] : [kept]
    heldBytes = held[0]?.length ?? 0
  }
  for await (const chunk of chunks) {
    held.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
    heldBytes += chunk.length
    if (heldBytes < WINDOW_BYTES) continue
    yield* flush(false)
    yield {}
  }
  if (heldBytes > 0) yield* flush(true)
}
