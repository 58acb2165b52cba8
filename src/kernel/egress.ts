/**
 * The one way to ask at a URL that somebody gave us. Whoever may name a URL must not reach through us what they cannot reach themselves: only
 * https, only addresses of the public internet, checked after the name was resolved and connected to as they were checked (no second look-up,
 * so no DNS rebinding), no redirects, bounded in time and size. The configuration declares exceptions (`egress.allow`).
 */
import { lookup } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP, isIPv4 } from 'node:net'
import { rootCertificates } from 'node:tls'
import { mayReach, parseExceptions, type EgressException } from './egress-address.ts'
import { after } from './timer.ts'

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

type EgressAsk = {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Media types an answer of success may have, without parameters. */
  readonly types: readonly string[]
  readonly maxBytes?: number
  readonly timeoutMs?: number
  /** PEM of authorities to trust for this one instead of the public ones. */
  readonly ca?: string
}

type EgressAnswer = { readonly status: number; readonly body: Buffer }

export type Egress = {
  /** Whether the URL could be asked at all: said before anything is stored. Looks nothing up. Throws `EgressFailed`. */
  check(url: string): void
  /** The answer, whatever its status but a redirect. Throws `EgressFailed`. */
  ask(url: string, ask: EgressAsk, signal?: AbortSignal): Promise<EgressAnswer>
}

/** Every address a name leads to; the system's own resolver by default. */
type Resolve = (name: string) => Promise<readonly string[]>

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
const URL_MAX_CHARS = 2_000
/** More addresses than a name of an honest service has are not all tried. */
const MOST_ADDRESSES = 16

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
      const over = signal ? AbortSignal.any([late.signal, signal]) : late.signal
      try {
        const addresses = await checked(exceptions, target, resolve, over)
        return await exchange(target, addresses, { ask, ca: ask.ca ?? trusted }, over)
      } catch (error) {
        throw failure(error, target, late.signal, signal)
      }
    },
  }
}

const LATE = new Error('late')

type Target = {
  readonly url: URL
  readonly hostname: string
  readonly port: number
  readonly isPlaintext: boolean
}

/** Reads what is certain of a URL before anybody is asked. The parser of the URL standard writes every spelling of an IPv4 address as dots. */
function readUrl(exceptions: readonly EgressException[], text: string): Target {
  const url = text.length <= URL_MAX_CHARS ? URL.parse(text) : null
  const refuse = (why: string) => new EgressFailed('url', `The address cannot be asked: ${why}.`)
  if (!url) throw refuse('it is no URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('it is not https')
  if (url.username !== '' || url.password !== '') throw refuse('it holds a login')
  if (url.hash !== '') throw refuse('it has a fragment')
  const isPlaintext = url.protocol === 'http:'
  const hostname = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  const port = url.port === '' ? (isPlaintext ? 80 : 443) : Number(url.port)
  const target = { url, hostname, port, isPlaintext }
  if (hostname === '') throw refuse('it names no host')
  if (isPlaintext && !exceptions.some((exception) => exception.isPlaintext)) throw refuse('it is not https')
  if (isIP(hostname) !== 0 && !mayReach(exceptions, target, hostname)) throw closed(target)
  return target
}

/** Its addresses, every one of them one that may be reached: a name that leads to both kinds is a trap. */
async function checked(
  exceptions: readonly EgressException[],
  target: Target,
  resolve: Resolve,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { hostname } = target
  if (isIP(hostname) !== 0) return [hostname]
  const addresses = await orAborted(resolve(hostname), signal)
  if (addresses.length === 0) throw new EgressFailed('unreachable', `${hostname} has no address.`)
  if (!addresses.every((address) => mayReach(exceptions, target, address))) throw closed(target)
  return addresses.slice(0, MOST_ADDRESSES)
}

function closed({ hostname }: Target): EgressFailed {
  return new EgressFailed('address', `${hostname} is not open to the internet, and egress.allow does not list it.`)
}

type Sent = { readonly ask: EgressAsk; readonly ca: string | string[] | undefined }

function exchange(
  target: Target,
  addresses: readonly string[],
  { ask, ca }: Sent,
  signal: AbortSignal,
): Promise<EgressAnswer> {
  const { url, hostname, port, isPlaintext } = target
  const found = addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 }))
  const options: RequestOptions = {
    host: hostname,
    port,
    path: `${url.pathname}${url.search}`,
    method: ask.method ?? 'GET',
    headers: {
      ...ask.headers,
      host: url.host,
      accept: ask.types.join(', '),
      'accept-encoding': 'identity',
      ...(ask.body !== undefined && { 'content-length': String(Buffer.byteLength(ask.body)) }),
    },
    agent: false,
    signal,
    // The answer of the check, not another look-up, is what is connected to.
    lookup: (_name, wanted, done) => {
      const [first] = found
      if (wanted.all === true) done(null, found)
      else done(null, first?.address ?? '', first?.family)
    },
    ...(ca !== undefined && !isPlaintext && { ca }),
  }
  return new Promise((resolve, reject) => {
    const sent = isPlaintext ? httpRequest(options) : httpsRequest(options)
    sent.on('error', reject)
    sent.on('socket', (socket) => {
      socket.once('connect', () => {
        const { remoteAddress } = socket
        if (remoteAddress !== undefined && addresses.includes(remoteAddress)) return
        sent.destroy(new EgressFailed('address', `${hostname} was reached at an address that was not checked.`))
      })
    })
    sent.on('response', (response) => {
      bodyOf(response, target, ask).then(
        (body) => resolve({ status: response.statusCode ?? 0, body }),
        (error: unknown) => {
          sent.destroy()
          reject(error)
        },
      )
    })
    sent.end(ask.body)
  })
}

async function bodyOf(response: IncomingMessage, { hostname }: Target, ask: EgressAsk): Promise<Buffer> {
  const status = response.statusCode ?? 0
  if (status >= 300 && status < 400) throw new EgressFailed('redirect', `${hostname} answered with a redirect.`)
  const { 'content-type': type = '', 'content-encoding': encoding } = response.headers
  const isFitting = ask.types.includes(type.split(';')[0]?.trim().toLowerCase() ?? '')
  if (status < 300 && (!isFitting || encoding !== undefined)) {
    throw new EgressFailed('type', `${hostname} answered with another kind of content.`)
  }
  const most = ask.maxBytes ?? MAX_BYTES
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    size += chunk.length
    if (size > most) throw new EgressFailed('too-large', `${hostname} answered with more than ${most} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function failure(error: unknown, { hostname }: Target, late: AbortSignal, signal?: AbortSignal): EgressFailed {
  if (error instanceof EgressFailed) return error
  if (late.aborted) return new EgressFailed('late', `${hostname} did not answer in time.`)
  if (signal?.aborted) return new EgressFailed('aborted', `${hostname} was not asked to the end.`)
  return new EgressFailed('unreachable', `${hostname} could not be reached.`, { cause: error })
}

async function resolveBySystem(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true, verbatim: true })).map(({ address }) => address)
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
