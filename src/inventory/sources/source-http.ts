import { Faltering, SlowDown, Unreadable, type HttpAsked, type SourceHttp } from '../../connectors/connector.ts'
import type { Clock } from '../../kernel/clock.ts'
import { EgressFailed, retryAfterMs } from '../../kernel/http-client.ts'
import { openOrigin, type OriginAnswer, type OriginStream } from '../../kernel/origin.ts'

/** Servers take less of a path (Node's own default is 16 KiB of headers); whatever is longer was made of a name that is none. */
const PATH_MAX = 12 * 1024

/** The registered origin, with failures and pleas for patience as the reconciler knows them. */
export function sourceHttpTo(address: string, clock: Clock): SourceHttp {
  const origin = openOrigin(address)
  const said = async <A extends OriginAnswer | OriginStream>(
    asked: HttpAsked,
    send: (signal: AbortSignal) => Promise<A>,
    signal: AbortSignal,
  ): Promise<A> => {
    if (asked.path.length > PATH_MAX) throw new Unreadable('a name at the source is longer than what can be asked for')
    try {
      const answer = await send(signal)
      if (answer.status !== 429 && answer.status !== 503) return answer
      if (Symbol.dispose in answer) answer[Symbol.dispose]()
      throw new SlowDown(retryAfterMs(answer.headers['retry-after'], clock))
    } catch (error) {
      throw reasonOf(error, signal)
    }
  }
  const http = (asked: HttpAsked, signal: AbortSignal) => said(asked, (until) => origin.ask(asked, until), signal)
  return Object.assign(http, {
    async stream(asked: HttpAsked, signal: AbortSignal) {
      const answer = await said(asked, (until) => origin.stream(asked, until), signal)
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
    case 'late':
      return new Faltering('the source did not answer in time', { cause: error })
    case 'unreachable':
      return unreachable(error)
    case 'aborted':
    case 'redirect':
    case 'type':
    default:
      return error
  }
}

/** By the code of the certificate that was not taken (Node.js, "X509 certificate error codes"). */
const CERTIFICATES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name than the one it is reached by',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself; give its authority with the source',
  SELF_SIGNED_CERT_IN_CHAIN: 'nobody who is trusted signed its certificate; give its authority with the source',
  UNABLE_TO_GET_ISSUER_CERT: 'nobody who is trusted signed its certificate; give its authority with the source',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'nobody who is trusted signed its certificate; give its authority with the source',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'nobody who is trusted signed its certificate; give its authority with the source',
  CERT_SIGNATURE_FAILURE: 'the signature of its certificate is wrong',
  CERT_REVOKED: 'its certificate is revoked',
}

/** By the code of a line that broke, or that spoke something else (Node.js, "Common system errors"; llhttp's `HPE_`). */
const LINES: Readonly<Record<string, string>> = {
  ECONNRESET: 'the source broke the connection off',
  EPIPE: 'the source broke the connection off',
  ECONNREFUSED: 'nothing listens at the address of the source',
  ENOTFOUND: 'the name of the source leads to no address',
  ETIMEDOUT: 'the source did not answer in time',
  EHOSTUNREACH: 'there is no way to the address of the source',
  ENETUNREACH: 'there is no way to the address of the source',
  EPROTO: 'the source does not speak TLS as it should',
}

/** Codes stay with what is said, for whoever looks one up. */
function unreachable(error: EgressFailed): Error {
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
  const certificate = CERTIFICATES[code]
  if (certificate !== undefined)
    return new Unreadable(`the source is not believed: ${certificate} (${code})`, { cause })
  const said = LINES[code] ?? (code.startsWith('HPE_') ? 'the source does not speak HTTP as it should' : undefined)
  if (said !== undefined) return new Faltering(`${said} (${code})`, { cause })
  if (code.startsWith('ERR_SSL_'))
    return new Faltering(`the source does not speak TLS as it should (${code})`, { cause })
  return cause instanceof Error && /^[A-Z0-9_]{1,40}$/.test(code)
    ? cause
    : new Faltering('the source could not be reached', { cause: error })
}
