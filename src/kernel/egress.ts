/**
 * The one way to ask at a URL that somebody gave us. Whoever may name a URL must not reach through us what they cannot reach themselves: only
 * https, only addresses of the public internet, checked after the name was resolved, no redirects, bounded in time and size. The configuration
 * declares exceptions (`egress.allow`).
 */
import { isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { rootCertificates } from 'node:tls'
import { mayReach, parseExceptions, type EgressException } from './egress-address.ts'
import {
  addressesOf,
  boundedBody,
  EgressFailed,
  exchange,
  failure,
  LATE,
  resolveBySystem,
  targetOf,
  type Resolve,
  type Target,
} from './http-client.ts'
import { after } from './timer.ts'

export { EgressFailed } from './http-client.ts'

type EgressAsk = {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Media types an answer of success may have, without parameters. */
  readonly types: readonly string[]
  readonly maxBytes?: number
  readonly timeoutMs?: number
  /** PEM of authorities to trust for this one instead of the public ones. */
  readonly ca?: string
  /** Whom the server proves to be by a certificate of `ca`, instead of its host name. */
  readonly spiffeId?: string
}

type EgressAnswer = { readonly status: number; readonly body: Buffer }

export type Egress = {
  /** Whether the URL could be asked at all: said before anything is stored. Looks nothing up. Throws `EgressFailed`. */
  check(url: string): void
  /** The answer, whatever its status but a redirect. Throws `EgressFailed`. */
  ask(url: string, ask: EgressAsk, signal?: AbortSignal): Promise<EgressAnswer>
}

export type EgressOptions = {
  /** `egress.allow`. */
  readonly allow: readonly string[]
  /** PEM of authorities to trust beside the public ones. */
  readonly ca?: string | undefined
  readonly resolve?: Resolve
}

const TIMEOUT_MS = 5_000
/** A set of keys or a discovery document is a few kilobytes. */
const MAX_BYTES = 262_144
// A question of AWS carries a whole session in it.
const URL_MAX_CHARS = 8_000

/** The guarded client. Throws for an `allow` entry that cannot be read. */
export function openEgress({ allow, ca, resolve = resolveBySystem }: EgressOptions): Egress {
  const exceptions = parseExceptions(allow)
  const trusted = ca === undefined ? undefined : [...rootCertificates, ca]
  return {
    check: (url) => void readUrl(exceptions, url),
    async ask(text, ask, signal) {
      const target = readUrl(exceptions, text)
      const late = new AbortController()
      using _limit = after(ask.timeoutMs ?? TIMEOUT_MS, () => late.abort(LATE))
      const stop = new AbortController()
      const over = AbortSignal.any(signal ? [late.signal, stop.signal, signal] : [late.signal, stop.signal])
      try {
        const reach = { resolve, mayReach: (address: string) => mayReach(exceptions, target, address) }
        const addresses = await addressesOf(target, reach, over)
        if (addresses === 'closed') throw closed(target)
        if (ask.spiffeId !== undefined && (target.isPlaintext || ask.ca === undefined)) throw unproven(target)
        const sent = { method: ask.method ?? 'GET', headers: { ...ask.headers, accept: ask.types.join(', ') } }
        const more = { body: ask.body, ca: ask.ca ?? trusted, spiffeId: ask.spiffeId }
        const response = await exchange(target, addresses, { ...sent, ...more }, over)
        return { status: response.statusCode ?? 0, body: await bodyOf(response, target, ask) }
      } catch (error) {
        stop.abort(LATE)
        throw failure(error, target.hostname, late.signal, signal)
      }
    },
  }
}

/** Reads what is certain of a URL before anybody is asked. The parser of the URL standard writes every spelling of an IPv4 address as dots. */
function readUrl(exceptions: readonly EgressException[], text: string): Target {
  const url = text.length <= URL_MAX_CHARS ? URL.parse(text) : null
  const refuse = (why: string) => new EgressFailed('url', `The address cannot be asked: ${why}.`)
  if (!url) throw refuse('it is no URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('it is not https')
  if (url.username !== '' || url.password !== '') throw refuse('it holds a login')
  if (url.hash !== '') throw refuse('it has a fragment')
  const target = targetOf(url)
  const { hostname, isPlaintext } = target
  if (hostname === '') throw refuse('it names no host')
  if (isPlaintext && !exceptions.some((exception) => exception.isPlaintext)) throw refuse('it is not https')
  if (isIP(hostname) !== 0 && !mayReach(exceptions, target, hostname)) throw closed(target)
  return target
}

function closed({ hostname }: Target): EgressFailed {
  return new EgressFailed('address', `${hostname} is not open to the internet, and egress.allow does not list it.`)
}

function unproven({ hostname }: Target): EgressFailed {
  return new EgressFailed('url', `${hostname} cannot prove an identity without TLS.`)
}

async function bodyOf(response: IncomingMessage, { hostname }: Target, ask: EgressAsk): Promise<Buffer> {
  const status = response.statusCode ?? 0
  if (status >= 300 && status < 400) throw new EgressFailed('redirect', `${hostname} answered with a redirect.`)
  const { 'content-type': type = '', 'content-encoding': encoding } = response.headers
  // RFC 9110 §15.3.5: it has no content, so no type.
  const isFitting = status === 204 || ask.types.includes(type.split(';')[0]?.trim().toLowerCase() ?? '')
  if (status < 300 && (!isFitting || encoding !== undefined)) {
    throw new EgressFailed('type', `${hostname} answered with another kind of content.`)
  }
  const chunks: Buffer[] = []
  for await (const chunk of boundedBody(response, ask.maxBytes ?? MAX_BYTES, hostname)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
