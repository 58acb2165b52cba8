/**
 * HTTP to one system that was registered: its origin and nothing else. It may be inside, for most are; never at an address of this link, where
 * clouds give out credentials. Bounded in size and time, and as a stream where a list is larger than what is kept at once.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { isNobodys } from './egress-address.ts'
import {
  addressesOf,
  boundedBody,
  EgressFailed,
  exchange,
  failure,
  LATE,
  resolveBySystem,
  StaleConnection,
  targetOf,
  type Resolve,
} from './http-client.ts'
import { Secret } from './secret.ts'
import { after } from './timer.ts'

export type OriginAsk = {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly path: string
  readonly headers?: Readonly<Record<string, string | Secret>>
  readonly body?: string
  /** In PEM, instead of the public authorities. */
  readonly ca?: string
  readonly maxBytes?: number
}
type Head = { readonly status: number; readonly headers: Readonly<Record<string, string>> }
export type OriginAnswer = Head & { readonly body: Buffer }
/** The body is read once, to its end or not; disposing it ends what is left of the answer. */
export type OriginStream = Head & { readonly body: AsyncIterable<Buffer> } & Disposable

export type Origin = {
  readonly ask: (asked: OriginAsk, signal: AbortSignal) => Promise<OriginAnswer>
  readonly stream: (asked: OriginAsk, signal: AbortSignal) => Promise<OriginStream>
}

const ANSWER_BYTES = 32 * 1024 * 1024
const ANSWER_MS = 60_000
/** A stream is read at the pace of whoever keeps it, within this. */
const STREAM_BYTES = 4 * 1024 * 1024 * 1024
const STREAM_MS = 600_000
/** Connections that are kept between requests, and for how long: less than servers keep theirs. */
const SOCKETS = 4
const IDLE_MS = 4_000

export function openOrigin(
  address: string,
  { resolve = resolveBySystem }: { readonly resolve?: Resolve } = {},
): Origin {
  const base = new URL(address)
  const kept = { keepAlive: true, maxSockets: SOCKETS, maxFreeSockets: SOCKETS, timeout: IDLE_MS }
  const agent = base.protocol === 'https:' ? new HttpsAgent(kept) : new HttpAgent(kept)

  async function begin(asked: OriginAsk, limits: Limits, signal: AbortSignal): Promise<OriginStream> {
    const target = targetOf(urlOf(base, asked.path))
    const late = new AbortController()
    const limit = after(limits.ms, () => late.abort(LATE))
    const over = AbortSignal.any([late.signal, signal])
    const stop = new AbortController()
    const until = AbortSignal.any([over, stop.signal])
    try {
      const addresses = await addressesOf(target, { resolve, mayReach: (found) => !isNobodys(found) }, over)
      if (addresses === 'closed')
        throw new EgressFailed('address', `${target.hostname} leads to an address of no system.`)
      const send = () =>
        exchange(target, addresses, { ...asked, method: asked.method ?? 'GET', headers: plain(asked), agent }, until)
      const response = await send().catch((error: unknown) => {
        if (error instanceof StaleConnection && asked.method !== 'POST') return send()
        throw error
      })
      return {
        status: response.statusCode ?? 0,
        headers: flat(response.headers),
        body: told(boundedBody(response, limits.bytes, target.hostname), (error) =>
          failure(error, target.hostname, late.signal, signal),
        ),
        [Symbol.dispose]() {
          limit[Symbol.dispose]()
          // What came whole and was not read still holds its connection; what is still coming ends with it.
          if (response.complete) response.resume()
          else stop.abort(LATE)
        },
      }
    } catch (error) {
      limit[Symbol.dispose]()
      throw failure(error, target.hostname, late.signal, signal)
    }
  }

  return {
    async ask(asked, signal) {
      using answer = await begin(asked, { ms: ANSWER_MS, bytes: asked.maxBytes ?? ANSWER_BYTES }, signal)
      const chunks: Buffer[] = []
      for await (const chunk of answer.body) chunks.push(chunk)
      return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks) }
    },
    stream: (asked, signal) => begin(asked, { ms: STREAM_MS, bytes: asked.maxBytes ?? STREAM_BYTES }, signal),
  }
}

type Limits = { readonly ms: number; readonly bytes: number }

function urlOf(base: URL, path: string): URL {
  if (base.protocol !== 'https:' && base.protocol !== 'http:')
    throw new EgressFailed('url', 'this source does not speak HTTP')
  const url = path.startsWith('/') ? URL.parse(path, base.href) : null
  if (!url || url.origin !== base.origin || url.username !== '' || url.password !== '')
    throw new EgressFailed('url', 'a path may not leave the registered address')
  return url
}

function plain({ headers = {} }: OriginAsk): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  )
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  )
}

async function* told(body: AsyncIterable<Buffer>, failed: (error: unknown) => Error): AsyncGenerator<Buffer, void> {
  try {
    yield* body
  } catch (error) {
    throw failed(error)
  }
}
