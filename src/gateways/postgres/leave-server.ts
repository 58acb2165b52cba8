import { after, afterThisTurn } from '../../kernel/timer.ts'
import { terminate } from './wire/encode.ts'
import { FAREWELL_MS } from './bounds.ts'
import type { Upstream } from './wire/upstream.ts'

/** Politely where nothing is under way; else what was sent and is not yet read must not run any more. */
export function leaveServer(
  upstream: Upstream,
  { isQuiet, isToldAlready }: { readonly isQuiet: boolean; readonly isToldAlready: boolean },
): void {
  const { socket } = upstream
  if (!isQuiet) return upstream.abort()
  // Nothing reaches the server any more, so its goodbye can wait until all the clients of a grant have been cut.
  afterThisTurn(() => {
    if (!isToldAlready) socket.write(terminate())
    socket.end()
    socket.resume()
    after(FAREWELL_MS, () => socket.destroy())
  })
}
