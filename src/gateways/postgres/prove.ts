import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Clock } from '../../kernel/clock.ts'
import { isClientCertificateOf, sha256 } from '../../kernel/crypto.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Proof } from '../gateway.ts'
import { read } from './first-bytes.ts'
import { readPassword } from './wire/decode.ts'
import { authenticationCleartextPassword } from './wire/encode.ts'
import { sqlState, violation, WireError } from './wire/wire-error.ts'

const HEADER_BYTES = 5
const PASSWORD = 112
const MOST_PASSWORD_BYTES = 1024

/** Who is believed. `allowsPlaintext` exists for measuring only. */
export type Trust = { readonly clientCa: string; readonly clock: Clock; readonly allowsPlaintext: boolean }
type Shown = { readonly socket: Socket; readonly isEncrypted: boolean }

/**
 * What the caller shows: the key of a client certificate of ours, else a ticket in the place of the password. A ticket is asked for inside
 * TLS only (core 24): it is a bearer secret, and whoever reads it on the way could use it.
 */
export async function proofOf({ socket, isEncrypted }: Shown, trust: Trust, signal: AbortSignal): Promise<Proof> {
  if (!isEncrypted && trust.allowsPlaintext) return { kind: 'ticket', secret: await ticketOf(socket, signal) }
  if (!isEncrypted) {
    throw new WireError(
      sqlState.invalidAuthorization,
      'This gateway is reached over TLS only: connect with sslmode=verify-full and sslrootcert set to the installation’s certificate.',
    )
  }
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  if (certificate && isClientCertificateOf(trust.clientCa, certificate, trust.clock.now())) {
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
    return { kind: 'key', spkiSha256: sha256(spki) }
  }
  return { kind: 'ticket', secret: await ticketOf(socket, signal) }
}

/** Asks for the password and reads it: AuthenticationCleartextPassword inside TLS, which every driver speaks. */
async function ticketOf(socket: Socket, signal: AbortSignal): Promise<Secret> {
  socket.write(authenticationCleartextPassword())
  let bytes: Buffer = Buffer.alloc(0)
  for (;;) {
    bytes = Buffer.concat([bytes, await read(socket, signal)])
    if (bytes[0] !== PASSWORD) throw violation('expected a password')
    if (bytes.length < HEADER_BYTES) continue
    const sizeBytes = bytes.readInt32BE(1)
    if (sizeBytes < 5 || sizeBytes > MOST_PASSWORD_BYTES) throw violation('invalid length of a password')
    if (bytes.length < 1 + sizeBytes) continue
    if (bytes.length > 1 + sizeBytes) socket.unshift(bytes.subarray(1 + sizeBytes))
    return new Secret(readPassword(bytes, HEADER_BYTES, 1 + sizeBytes))
  }
}
