import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { readFirstPacket, type FirstPacket } from './wire/startup.ts'
import { violation } from './wire/wire-error.ts'

/** A client's connection up to its start-up message. */
export type Arrived =
  | {
      readonly kind: 'startup'
      readonly packet: FirstPacket & { kind: 'startup' }
      readonly socket: Socket
      readonly isEncrypted: boolean
    }
  | { readonly kind: 'cancel'; readonly processId: number; readonly key: Buffer; readonly socket: Socket }

const TLS_YES = Buffer.from('S')
const NO = Buffer.from('N')

/** The other side went away, or never spoke the protocol: nobody is left to answer, and nothing is wrong here. */
export class PeerGone extends Error {
  override readonly name = 'PeerGone'
}

/** Answers requests for encryption and reads the first real packet. Throws a `WireError`, or the error of the socket. */
export async function arrive(raw: Socket, context: SecureContext, signal: AbortSignal): Promise<Arrived> {
  let socket = raw
  let isEncrypted = false
  // libpq asks for GSS, then TLS, then starts: more rounds than that are no client.
  for (let round = 0; round < 4; round += 1) {
    const packet = await firstPacket(socket, signal)
    switch (packet.kind) {
      case 'gss':
        socket.write(NO)
        break
      case 'ssl':
        if (isEncrypted) throw violation('encryption was asked for twice')
        socket.write(TLS_YES)
        socket = await encrypt(socket, context, false, signal)
        isEncrypted = true
        break
      case 'tls':
        if (isEncrypted) throw violation('encryption was asked for twice')
        socket = await encrypt(socket, context, true, signal)
        isEncrypted = true
        break
      case 'cancel':
        return { kind: 'cancel', processId: packet.processId, key: packet.key, socket }
      case 'startup':
        return { kind: 'startup', packet, socket, isEncrypted }
    }
  }
  throw violation('too many requests for encryption')
}

async function firstPacket(socket: Socket, signal: AbortSignal): Promise<FirstPacket> {
  let bytes: Buffer = Buffer.alloc(0)
  for (;;) {
    bytes = Buffer.concat([bytes, await read(socket, signal)])
    const found = readFirstPacket(bytes)
    if (!found) continue
    if (found.sizeBytes < bytes.length) socket.unshift(bytes.subarray(found.sizeBytes))
    return found.packet
  }
}

/** What has come, or the next that comes. */
export async function read(socket: Socket, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const chunk: unknown = socket.read()
    if (Buffer.isBuffer(chunk) && chunk.length > 0) return chunk
    await happens(socket, 'readable', signal)
    if (socket.readableEnded) throw new PeerGone('the client closed the connection')
  }
}

async function encrypt(raw: Socket, context: SecureContext, isDirect: boolean, signal: AbortSignal): Promise<Socket> {
  const tls = new TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    requestCert: true,
    // Whether the certificate is one of ours is looked at when the caller is asked for proof.
    rejectUnauthorized: false,
    ALPNProtocols: ['postgresql'],
  })
  try {
    await happens(tls, 'secure', signal)
    // Other protocols inside TLS are kept out by ALPN, as the server does (ProcessSSLStartup); there is no one to explain it to.
    if (isDirect && tls.alpnProtocol !== 'postgresql') throw new PeerGone('direct TLS without the ALPN protocol')
    return tls
  } catch (error) {
    // Half a handshake: nothing readable can be said over it.
    tls.destroy()
    raw.destroy()
    throw signal.aborted ? error : new PeerGone('the TLS handshake failed', { cause: error })
  }
}

/** Waits for one event; the end of the socket, an error and the signal reject. */
function happens(socket: Socket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      socket.off(event, onEvent)
      socket.off('error', onError)
      socket.off('close', onClose)
      socket.off('end', onClose)
      signal.removeEventListener('abort', onAbort)
      then()
    }
    const onEvent = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(new PeerGone('the connection broke', { cause: error })))
    const onClose = () => settle(() => reject(new PeerGone('the client closed the connection')))
    const onAbort = () => settle(() => reject(signal.reason))
    if (signal.aborted) return reject(signal.reason)
    socket.once(event, onEvent)
    socket.once('error', onError)
    socket.once('close', onClose)
    socket.once('end', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
