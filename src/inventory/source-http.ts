import { SlowDown, Unreadable, type HttpAsked, type SourceHttp } from '../connectors/connector.ts'
import type { Clock } from '../kernel/clock.ts'
import { EgressFailed, retryAfterMs } from '../kernel/http-client.ts'
import { openOrigin, type OriginAnswer, type OriginStream } from '../kernel/origin.ts'

/** The registered origin, with failures and pleas for patience as the reconciler knows them. */
export function sourceHttpTo(address: string, clock: Clock): SourceHttp {
  const origin = openOrigin(address)
  const said = async <A extends OriginAnswer | OriginStream>(asking: Promise<A>, signal: AbortSignal): Promise<A> => {
    try {
      const answer = await asking
      if (answer.status !== 429 && answer.status !== 503) return answer
      if (Symbol.dispose in answer) answer[Symbol.dispose]()
      throw new SlowDown(retryAfterMs(answer.headers['retry-after'], clock))
    } catch (error) {
      throw reasonOf(error, signal)
    }
  }
  const http = (asked: HttpAsked, signal: AbortSignal) => said(origin.ask(asked, signal), signal)
  return Object.assign(http, {
    async stream(asked: HttpAsked, signal: AbortSignal) {
      const answer = await said(origin.stream(asked, signal), signal)
      return { ...answer, body: orReason(answer.body, signal) }
    },
  })
}

async function* orReason(body: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  try {
    yield* body
  } catch (error) {
    throw reasonOf(error, signal)
  }
}

/** What no second try would change is said; the rest is for the reconciler to try again, by the code that the system gave. */
function reasonOf(error: unknown, signal: AbortSignal): unknown {
  signal.throwIfAborted()
  if (!(error instanceof EgressFailed)) return error
  switch (error.reason) {
    case 'url':
      return new Unreadable(error.message)
    case 'address':
      return new Unreadable('the address of the source is one that no system has')
    case 'too-large':
      return new Unreadable('an answer of the source is larger than anything it should say')
    case 'unreachable':
      return error.cause ?? error
    case 'late':
    case 'aborted':
    case 'redirect':
    case 'type':
    default:
      return error
  }
}
