/**
 * The one way in which a request leaves: to addresses that were looked up and checked before, connected to as they were checked (no second look-up,
 * so no DNS rebinding), no redirect followed, nothing decoded on the way. Whom one may ask at all is the caller's rule: `egress.ts` for addresses that
 * somebody gave us, `origin.ts` for systems that were registered.
 */
import { lookup } from 'node:dns/promises'
import { request as httpRequest, type Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP, isIPv4 } from 'node:net'
import type { Clock } from './clock.ts'
import { Instant } from './instant.ts'
import { svidIdOf } from './x509-svid.ts'

export type EgressReason = 'url' | 'address' | 'unreachable' | 'redirect' | 'type' | 'too-large' | 'late' | 'aborted'

/** Nothing was learned. The message is a sentence of ours that names the host at most. */
export class EgressFailed extends Error {
  override readonly name = 'EgressFailed'
  readonly reason: EgressReason

  constructor(reason: EgressReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export type Target = {
  readonly url: URL
  readonly hostname: string
  readonly port: number
  readonly isPlaintext: boolean
}

export function targetOf(url: URL): Target {
  const isPlaintext = url.protocol === 'http:'
  return {
    url,
    hostname: url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, ''),
    port: url.port === '' ? (isPlaintext ? 80 : 443) : Number(url.port),
    isPlaintext,
  }
}

/** Every address a name leads to; the system's own resolver by default. */
export type Resolve = (name: string) => Promise<readonly string[]>

export async function resolveBySystem(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true, verbatim: true })).map(({ address }) => address)
}

/** More addresses than a name of an honest service has are not all tried. */
const MOST_ADDRESSES = 16

/** The target's addresses, every one of them one that may be reached: a name that leads to both kinds is a trap. */
export async function addressesOf(
  target: Target,
  { resolve, mayReach }: { readonly resolve: Resolve; readonly mayReach: (address: string) => boolean },
  signal: AbortSignal,
): Promise<readonly string[] | 'closed'> {
  const { hostname } = target
  if (isIP(hostname) !== 0) return mayReach(hostname) ? [hostname] : 'closed'
  const addresses = await orAborted(resolve(hostname), signal)
  if (addresses.length === 0) throw new EgressFailed('unreachable', `${hostname} has no address.`)
  return addresses.every((address) => mayReach(address)) ? addresses.slice(0, MOST_ADDRESSES) : 'closed'
}

export type Sent = {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** PEM; the public authorities without it. */
  readonly ca?: string | string[] | undefined
  /** The server proves this SPIFFE ID, by `ca` alone, and no host name (SPIFFE Federation §5.2.2). */
  readonly spiffeId?: string | undefined
  /** Keeps connections between requests; none are kept without it. */
  readonly agent?: HttpAgent | undefined
}

/** Sends one request and answers with the head of what came; the body is still to be read, and bounded, by whoever asked. */
export function exchange(
  target: Target,
  addresses: readonly string[],
  sent: Sent,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { url, hostname, port, isPlaintext } = target
  const found = addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 }))
  const options: RequestOptions = {
    host: hostname,
    port,
    path: `${url.pathname}${url.search}`,
    method: sent.method,
    headers: {
      ...sent.headers,
      host: url.host,
      'accept-encoding': 'identity',
      ...(sent.body !== undefined && { 'content-length': String(Buffer.byteLength(sent.body)) }),
    },
    agent: sent.agent ?? false,
    signal,
    // The answer of the check, not another look-up, is what is connected to.
    lookup: (_name, wanted, done) => {
      const [first] = found
      if (wanted.all === true) done(null, found)
      else done(null, first?.address ?? '', first?.family)
    },
    ...(sent.ca !== undefined && !isPlaintext && { ca: sent.ca }),
    ...(sent.spiffeId !== undefined && { checkServerIdentity: isServer(sent.spiffeId) }),
  }
  return new Promise((resolve, reject) => {
    const request = isPlaintext ? httpRequest(options) : httpsRequest(options)
    request.on('error', (error) => reject(wasReused(request, error) ? new StaleConnection(error) : error))
    request.on('socket', (socket) => {
      // A connection that was kept was checked when it was made.
      if (!socket.connecting) return
      socket.once('connect', () => {
        const { remoteAddress } = socket
        if (remoteAddress !== undefined && addresses.includes(remoteAddress)) return
        request.destroy(new EgressFailed('address', `${hostname} was reached at an address that was not checked.`))
      })
    })
    request.on('response', resolve)
    request.end(sent.body)
  })
}

function isServer(spiffeId: string): (hostname: string, certificate: { readonly raw: Buffer }) => Error | undefined {
  return (_hostname, { raw }) =>
    svidIdOf(raw) === spiffeId ? undefined : new EgressFailed('unreachable', 'The server proved another identity.')
}

/** The peer had closed a kept connection before the request reached it: nothing was done, and it may be sent again. */
export class StaleConnection extends Error {
  constructor(cause: unknown) {
    super('a kept connection was closed by the peer', { cause })
  }
}

function wasReused(request: { readonly reusedSocket: boolean }, error: unknown): boolean {
  return request.reusedSocket && error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
}

/** The chunks of a body, cut off with an `EgressFailed` when there are more bytes than `most`. */
export async function* boundedBody(
  response: IncomingMessage,
  most: number,
  hostname: string,
): AsyncGenerator<Buffer, void> {
  let size = 0
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    size += chunk.length
    if (size > most) throw new EgressFailed('too-large', `${hostname} answered with more than ${most} bytes.`)
    yield chunk
  }
}

export const LATE = new Error('late')

export function failure(error: unknown, hostname: string, late: AbortSignal, signal?: AbortSignal): EgressFailed {
  if (error instanceof EgressFailed) return error
  if (late.aborted) return new EgressFailed('late', `${hostname} did not answer in time.`)
  if (signal?.aborted) return new EgressFailed('aborted', `${hostname} was not asked to the end.`)
  return new EgressFailed('unreachable', `${hostname} could not be reached.`, { cause: error })
}

/** The system's resolver knows no abort; nobody waits for it longer than this. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(LATE)
    const stop = () => reject(LATE)
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
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

const LINK_MAX = 8_192
/** No path: those begin with a stroke. */
export const ELSEWHERE = 'elsewhere'

/** RFC 8288: where the next page of a list is, as a path at the same origin; undefined on the last page, `elsewhere` where it cannot be asked for. */
export function nextLink(header: string | undefined, asked: URL): string | undefined {
  if (header === undefined) return undefined
  if (header.length > LINK_MAX) return ELSEWHERE
  for (const [, target, parameters] of header.matchAll(/<([^<>]*)>((?:;(?:"[^"]*"|[^",;<>])*)*)/g)) {
    if (!/;\s*rel="?next"?(?:\s*;|\s*$)/.test(parameters ?? '')) continue
    const url = URL.parse(target ?? '', asked.href)
    return url && url.origin === asked.origin ? `${url.pathname}${url.search}` : ELSEWHERE
  }
  return undefined
}
