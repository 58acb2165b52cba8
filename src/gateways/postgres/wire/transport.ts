import { connect as connectNet, isIP, type NetConnectOpts, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls'
import { sslRequest } from './encode.ts'
import { Inbox } from './inbox.ts'
import { UpstreamError, type Address, type TlsChoice, type UpstreamOptions } from './upstream.ts'

/** A way to a server, before anything of the protocol proper was said. */
export type Transport = {
  readonly socket: Socket
  readonly inbox: Inbox
  /** The server's certificate in DER. */
  readonly certificate: Buffer | undefined
  readonly isEncrypted: boolean
  /** The certificate's chain was checked against a root we chose. */
  readonly isVerified: boolean
  readonly abort: () => void
}

/** A peer that vanished without a word is noticed after this and a few probes. */
const KEEP_ALIVE_MS = 30_000

type Encryption = 'none' | 'if-offered' | 'required'
type Wanted = Pick<UpstreamOptions, 'address' | 'tls' | 'readBuffer'>

/** Connects, and encrypts as `encryption` says. The signal destroys the socket; errors are `UpstreamError`. */
export async function openTransport(wanted: Wanted, encryption: Encryption, signal: AbortSignal): Promise<Transport> {
  signal.throwIfAborted()
  const inbox = new Inbox()
  const socket = connectNet(netOptions(wanted, encryption, inbox))
  const onAbort = () => socket.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    await settled(socket, 'connect', unreachable)
    if (encryption === 'none') return plain(socket, inbox, wanted)
    const isDirect = wanted.tls.negotiation === 'direct' && encryption === 'required'
    if (!isDirect && (await askForTls(socket)) === 'N') {
      if (encryption === 'required') throw new UpstreamError('tls', 'The server does not offer TLS.')
      return plain(socket, inbox, { address: wanted.address })
    }
    return await encrypt(socket, inbox, wanted, isDirect)
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function netOptions({ address, readBuffer }: Wanted, encryption: Encryption, inbox: Inbox): NetConnectOpts {
  const where = 'socketPath' in address ? { path: address.socketPath } : { host: address.host, port: address.port }
  // A socket that TLS will wrap must not read into memory of ours.
  if (encryption !== 'none' || readBuffer === undefined) return where
  return {
    ...where,
    onread: {
      buffer: readBuffer,
      callback: (length, bytes) => inbox.deliver(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), length),
    },
  }
}

function plain(
  socket: Socket,
  inbox: Inbox,
  { address, readBuffer }: Pick<Wanted, 'address' | 'readBuffer'>,
): Transport {
  attach(socket, inbox, readBuffer === undefined)
  const abort = aborter(socket, address)
  return { socket, inbox, certificate: undefined, isEncrypted: false, isVerified: false, abort }
}

/** A reset makes the server's system forget what the server has not read; a Unix socket has no such thing. */
function aborter(raw: Socket, address: Address): () => void {
  return () => {
    if ('socketPath' in address || raw.destroyed) raw.destroy()
    else raw.resetAndDestroy()
  }
}

function attach(socket: Socket, inbox: Inbox, readsEvents: boolean): void {
  socket.on('error', (error) => inbox.end(unreachable(error)))
  socket.once('close', () =>
    inbox.end(new UpstreamError('down', 'The server closed the connection before it was ready.')),
  )
  if (!readsEvents) return
  socket.on('data', (chunk: Buffer) => {
    if (!inbox.deliver(chunk, chunk.length)) socket.pause()
  })
}

async function askForTls(socket: Socket): Promise<'S' | 'N'> {
  socket.write(sslRequest())
  await settled(socket, 'readable', unreachable)
  const answer: unknown = socket.read()
  const bytes = Buffer.isBuffer(answer) ? answer : Buffer.alloc(0)
  // CVE-2021-23222: bytes that came with the answer were not encrypted and must not be taken for the server's.
  if (bytes.length > 1 && bytes[0] === 83)
    throw new UpstreamError('tls', 'The server sent unencrypted bytes after agreeing to TLS.')
  if (bytes.length === 0) throw new UpstreamError('down', 'The server closed the connection when asked for TLS.')
  if (bytes.length > 1 || (bytes[0] !== 83 && bytes[0] !== 78))
    throw new UpstreamError('protocol', 'What answers there does not speak the PostgreSQL protocol.')
  return bytes[0] === 83 ? 'S' : 'N'
}

async function encrypt(raw: Socket, inbox: Inbox, { address, tls }: Wanted, isDirect: boolean): Promise<Transport> {
  const host = tls.serverName ?? ('host' in address ? address.host : '')
  const isVerified = tls.mode === 'verify-ca' || tls.mode === 'verify-full' || tls.ca !== undefined
  const socket = connectTls({
    socket: raw,
    ALPNProtocols: ['postgresql'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: isVerified,
    // Only verify-full is about the name; RFC 6066 §3 has no room for addresses in it.
    checkServerIdentity: (_, certificate) =>
      tls.mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
    ...(isIP(host) === 0 && host !== '' ? { servername: host } : {}),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key.reveal() }),
  })
  await settled(socket, 'secureConnect', refusedTls)
  if (isDirect && socket.alpnProtocol !== 'postgresql')
    throw new UpstreamError('tls', 'The server does not speak PostgreSQL over direct TLS.')
  attach(socket, inbox, true)
  const abort = aborter(raw, address)
  return { socket, inbox, certificate: certificateOf(socket), isEncrypted: true, isVerified, abort }
}

function certificateOf(socket: TLSSocket): Buffer | undefined {
  return socket.getPeerX509Certificate()?.raw
}

/** Waits for an event of a socket; its errors become ours. */
function settled(socket: Socket, event: string, explain: (error: Error) => UpstreamError): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => finish(() => reject(explain(error)))
    const onClose = () => finish(() => reject(explain(new Error('the connection was closed'))))
    const onEvent = () => finish(resolve)
    const finish = (then: () => void) => {
      socket.off('close', onClose)
      socket.off(event, onEvent)
      socket.off('error', onError)
      // A destroyed socket may report once more; nobody is interested.
      socket.on('error', () => undefined)
      then()
    }
    socket.once('error', onError)
    socket.once('close', onClose)
    socket.once(event, onEvent)
  })
}

function unreachable(error: Error): UpstreamError {
  return new UpstreamError('down', 'The server cannot be reached.', undefined, error)
}

function refusedTls(error: Error): UpstreamError {
  return new UpstreamError(
    'tls',
    'TLS with the server failed: its certificate or its settings are not acceptable.',
    undefined,
    error,
  )
}

/** What to try, in order: libpq's table for sslmode. */
export function encryptionPlan(address: Address, tls: TlsChoice): readonly [Encryption, ...Encryption[]] {
  if ('socketPath' in address || tls.mode === 'disable') return ['none']
  if (tls.mode === 'allow') return ['none', 'required']
  if (tls.mode === 'prefer') return ['if-offered', 'none']
  return ['required']
}
