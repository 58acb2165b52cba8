import { beatGrant } from '../../access/contract.ts'
import { every } from '../../kernel/timer.ts'
import { openClient, type Client } from '../client.ts'
import { Failure } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { ApiProblem } from '../problems.ts'

/** A third of what the server waits, so that one lost beat ends nothing. */
const BEAT_MS = 5000

/** Beats until disposed. `isOver` says whether the grant ended first, which is also told on stderr, once. */
export function keepAlive(
  io: Io,
  { connection }: Client,
  grantId: string,
): Disposable & { readonly isOver: () => boolean } {
  // Its own connection without retries: a beat that waits behind something is late, and the next one comes anyway.
  const client = openClient(connection, [])
  const state = { isOver: false, isLost: false, isBeating: false }
  const beat = async () => {
    if (state.isOver || state.isBeating) return
    state.isBeating = true
    try {
      await client.call(beatGrant, { params: { grant: grantId } }, AbortSignal.timeout(BEAT_MS))
      if (state.isLost) tell(io, 'reeve: the server answers again.')
      state.isLost = false
    } catch (error) {
      if (error instanceof ApiProblem && error.status < 500 && error.status !== 429) {
        state.isOver = true
        tell(io, `reeve: ${error.message} Its sessions are cut.`)
      } else if (!state.isLost) {
        state.isLost = true
        const why = error instanceof Failure ? error.message : 'The server did not answer in time.'
        tell(io, `reeve: ${why} The grant ends if that stays so.`)
      }
    } finally {
      state.isBeating = false
    }
  }
  void beat()
  const timer = every(BEAT_MS, () => void beat())
  return {
    isOver: () => state.isOver,
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]()
      client[Symbol.dispose]()
      // A beat that was on its way has nothing more to say.
      state.isOver = true
    },
  }
}
