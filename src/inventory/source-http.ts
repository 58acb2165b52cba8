import { request as overHttp, type IncomingMessage } from 'node:http'
import { request as overTls } from 'node:https'
import { SlowDown, Unreadable, type HttpAnswer, type HttpAsked, type SourceHttp } from '../connectors/connector.ts'
import type { Clock } from '../kernel/clock.ts'
import { Instant } from '../kernel/instant.ts'
import { Secret } from '../kernel/secret.ts'

const ANSWER_BYTES = 32 * 1024 * 1024
const ANSWER_MS = 60_000

/**
 * HTTP to one origin. The path cannot change it, no redirect is followed (one answers as it is), certificates are checked, answers are bounded in size
 * and time. 429 and 503 ask for patience for as long as they say.
 */
export function sourceHttpTo(address: string, clock: Clock): SourceHttp {
  const base = new URL(address)
  return async (asked, signal) => {
    if (base.protocol !== 'https:' && base.protocol !== 'http:') throw new Unreadable('this source does not speak HTTP')
    const url = new URL(asked.path, base)
    if (!asked.path.startsWith('/') || url.origin !== base.origin)
      throw new Unreadable('a path may not leave the registered address')
    const answer = await send(url, asked, AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]))
    if (answer.status === 429 || answer.status === 503)
      throw new SlowDown(retryAfterMs(answer.headers['retry-after'], clock))
    return answer
  }
}

function send(url: URL, asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer> {
  const { method = 'GET', body, ca, maxBytes = ANSWER_BYTES } = asked
  const headers = Object.fromEntries(
    Object.entries(asked.headers ?? {}).map(([name, value]) => [
      name,
      value instanceof Secret ? value.reveal() : value,
    ]),
  )
  return new Promise((resolve, reject) => {
    const options = { method, headers, signal, agent: false as const }
    const onAnswer = (answer: IncomingMessage) => {
      collect(answer, maxBytes).then(resolve, reject)
    }
    const sent =
      url.protocol === 'https:'
        ? overTls(url, { ...options, ...(ca !== undefined && { ca }) }, onAnswer)
        : overHttp(url, options, onAnswer)
    sent.on('error', reject)
    sent.end(body)
  })
}

async function collect(answer: IncomingMessage, maxBytes: number): Promise<HttpAnswer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) {
      answer.destroy()
      throw new Unreadable('an answer of the source is larger than anything it should say')
    }
    chunks.push(chunk)
  }
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  )
  return { status: answer.statusCode ?? 0, headers, body: Buffer.concat(chunks) }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
export function retryAfterMs(header: string | undefined, clock: Clock): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const at = httpDate(header)
  return at === undefined ? undefined : Math.max(0, at - clock.now().getTime())
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** RFC 9110 §5.6.7, the form that is sent: `Sun, 06 Nov 1994 08:49:37 GMT`. */
function httpDate(text: string): number | undefined {
  const parts = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) GMT$/.exec(text)
  const month = MONTHS.indexOf(parts?.[2] ?? '')
  if (!parts || month < 0) return undefined
  const at = Instant.safeDecode(`${parts[3]}-${String(month + 1).padStart(2, '0')}-${parts[1]}T${parts[4]}Z`)
  return at.data?.getTime()
}
