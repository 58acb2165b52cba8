import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { connect, rootCertificates, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { mayReach, parseExceptions } from '../../kernel/egress-address.ts'
import { after } from '../../kernel/timer.ts'
import { readCertificate, type CertificateFacts } from '../../kernel/x509-read.ts'
import {
  Denied,
  tellCertificates,
  unknown,
  Unreadable,
  type Missing,
  type NativeId,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { endpointName, type Endpoint, type X509SourceSettings } from './settings.ts'

const HANDSHAKE_MS = 5_000
const CHAIN_MAX = 10

export type Look = { readonly settings: X509SourceSettings; readonly now: Date; readonly patienceMs?: number }

/** One handshake. What the server shows is read whatever it is worth; what it is worth stands in the facts. */
export async function* readEndpoint(
  look: Look,
  endpoint: Endpoint,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const shown = await shake(look, endpoint, signal)
  const name = endpointName(endpoint)
  const id: NativeId = { kind: 'endpoint', id: name }
  const facts = { protocol: shown.protocol, verdict: shown.verdict, isTrusted: shown.verdict === 'trusted' }
  const place = { id, location: `tls://${name}`, how: 'connection' as const, facts }
  const certificates = tellCertificates(shown.chain, place, look.now)
  yield {
    observations: [
      {
        kind: 'resource',
        id,
        type: 'tls-endpoint',
        name,
        environment: unknown('unsupported'),
        sensitivity: unknown('unsupported'),
        facts: { ...facts, cipher: shown.cipher },
      },
      ...certificates,
    ],
  }
  const missing: Missing[] = []
  if (shown.damaged > 0)
    missing.push({ what: `${shown.damaged} certificates of the chain`, why: 'they cannot be read as certificates' })
  return { status: 'complete', missing }
}

type Shown = {
  readonly chain: readonly CertificateFacts[]
  readonly damaged: number
  readonly protocol: string
  readonly cipher: string
  /** `trusted`, or OpenSSL's or Node's code for what is wrong. */
  readonly verdict: string
}

async function shake(look: Look, endpoint: Endpoint, signal: AbortSignal): Promise<Shown> {
  const late = new AbortController()
  using _limit = after(look.patienceMs ?? HANDSHAKE_MS, () => late.abort(LATE))
  const until = AbortSignal.any([signal, late.signal])
  try {
    const address = await addressOf(look.settings, endpoint, until)
    using socket = open(look.settings, endpoint, address)
    await secured(socket.tls, until)
    return shownBy(socket.tls)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Denied || error instanceof Unreadable) throw error
    if (late.signal.aborted) throw new Unreadable('the endpoint does not answer in time', { cause: error })
    throw new Unreadable(`there was no handshake (${codeOf(error)})`, { cause: error })
  }
}

const LATE = new Error('late')

/** An address that was checked, and is connected to as it was checked. */
async function addressOf(settings: X509SourceSettings, { host, port }: Endpoint, until: AbortSignal): Promise<string> {
  const found = isIP(host) === 0 ? await orAborted(lookup(host, { all: true, verbatim: true }), until) : []
  const addresses = isIP(host) === 0 ? found.map(({ address }) => address) : [host]
  const [first] = addresses
  if (first === undefined) throw new Unreadable('the name has no address')
  if (!isAllowed(settings, { host, port }, addresses)) throw new Denied(CLOSED)
  return first
}

/** Why an endpoint of a private address is not asked. */
export const CLOSED: Missing = {
  what: 'what this endpoint shows',
  why: 'its address is not open to the internet, and the settings of the source do not allow it',
  permission: 'settings.allow with its name, address or network',
}

export function isAllowed(
  { allow }: X509SourceSettings,
  { host, port }: Pick<Endpoint, 'host' | 'port'>,
  addresses: readonly string[],
): boolean {
  const exceptions = parseExceptions(allow)
  return addresses.every((address) => mayReach(exceptions, { hostname: host, port, isPlaintext: false }, address))
}

function open({ authorities }: X509SourceSettings, endpoint: Endpoint, address: string) {
  const { host, port, serverName = host } = endpoint
  const tls = connect({
    host: address,
    port,
    ...(isIP(serverName) === 0 && { servername: serverName }),
    // Read first, judged afterwards: nothing is sent over this connection. Old versions and short keys are what is looked for.
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    ciphers: 'DEFAULT@SECLEVEL=0',
    ...(authorities !== undefined && { ca: [...rootCertificates, authorities] }),
  })
  tls.on('error', () => undefined)
  return { tls, [Symbol.dispose]: () => void tls.destroy() }
}

function secured(socket: TLSSocket, until: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(until.reason)
    if (until.aborted) return stop()
    until.addEventListener('abort', stop, { once: true })
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () =>
      reject(new Unreadable('the endpoint closed the connection before the handshake was over')),
    )
  })
}

function shownBy(socket: TLSSocket): Shown {
  const sent: Buffer[] = []
  const seen = new Set<string>()
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next?.raw && !seen.has(next.fingerprint256) && sent.length < CHAIN_MAX) {
    seen.add(next.fingerprint256)
    sent.push(next.raw)
    next = next.issuerCertificate
  }
  const chain = sent.map((raw) => readCertificate(raw))
  if (chain.length === 0) throw new Unreadable('the endpoint shows no certificate')
  return {
    chain: chain.filter((each) => each !== undefined),
    damaged: chain.filter((each) => each === undefined).length,
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    verdict: socket.authorized ? 'trusted' : verdictOf(socket.authorizationError),
  }
}

/** Node gives the code as a string or on an error. */
function verdictOf(error: unknown): string {
  if (typeof error === 'string') return error
  return codeOf(error)
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^[A-Z0-9_]{1,80}$/.test(code) ? code : 'no code'
}

function orAborted<T>(work: Promise<T>, until: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(until.reason)
    if (until.aborted) return stop()
    until.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => until.removeEventListener('abort', stop))
  })
}
