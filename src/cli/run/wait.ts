import { readRequest, withdrawRequest, type AccessRequest } from '../../access/contract.ts'
import { sleep } from '../../kernel/timer.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { printable } from '../output/printable.ts'

/** How often is looked: quick at first, since a policy or a colleague at the desk answers at once; then gently. */
const FIRST_LOOK_MS = 250
const SLOWEST_LOOK_MS = 2000
const GROWTH = 1.3

/** The id of the grant, once the request has one. Says on stderr what it waits for; withdraws the request when `signal` aborts. */
export async function grantFor(io: Io, client: Client, request: AccessRequest, signal: AbortSignal): Promise<string> {
  if (request.state !== 'pending') return grantIn(request)
  tell(io, `Request ${request.id} waits; it ends by itself at ${request.expiresAt.toISOString()}.`)
  let said = ''
  let pauseMs = FIRST_LOOK_MS
  try {
    for (;;) {
      const now = await client.ask(readRequest, { params: { request: request.id } }, signal)
      if (now.state !== 'pending') return grantIn(now)
      const missing = now.missing.map(printable).join('; or ')
      if (missing !== said) tell(io, `Waiting for: ${missing || 'a decision'}`)
      said = missing
      await sleep(pauseMs, signal)
      pauseMs = Math.min(SLOWEST_LOOK_MS, pauseMs * GROWTH)
    }
  } catch (error) {
    if (!signal.aborted) throw error
    // Nobody is there to use it any more.
    await client.call(withdrawRequest, { params: { request: request.id } }).catch((failure: unknown) => {
      if (!(failure instanceof Failure)) throw failure
      tell(io, `The request could not be withdrawn: ${failure.message}`)
    })
    tell(io, `Request ${request.id} is withdrawn.`)
    throw error
  }
}

/** The grant of a decided request. Throws what was decided instead. */
export function grantIn(request: AccessRequest): string {
  const { id, state, grantId } = request
  const why = request.refusal === null ? '' : ` ${printable(request.refusal)}`
  if (state === 'granted' && grantId !== null) return grantId
  if (state === 'denied') throw new Failure(EXIT.denied, `Request ${id} was denied.${why}`)
  if (state === 'pending')
    throw new Failure(EXIT.pending, `Request ${id} waits for approval.`, [`Look at it: reeve access read ${id}`])
  throw new Failure(EXIT.over, `Request ${id} is over (${state}).${why}`, ['Ask again.'])
}
