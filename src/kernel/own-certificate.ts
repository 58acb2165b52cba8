import { createPrivateKey, createPublicKey } from 'node:crypto'
import { secondsAfter, type Clock } from './clock.ts'
import type { KeyPair } from './key-pair.ts'
import type { Random } from './random.ts'
import { makeCertificate } from './x509.ts'

/** Clocks may be behind ours by this much. */
const SKEW_SECONDS = 300

/** A certificate that a key makes for itself: in a handshake it proves the key and says nothing of whose it is (RFC 8705 §2.2). PEM. */
export function ownCertificate(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  { privateKey, publicKey }: KeyPair,
  { name, ttlSeconds }: { readonly name: string; readonly ttlSeconds: number },
): string {
  const spki = createPublicKey(publicKey).export({ format: 'der', type: 'spki' })
  const serial = Buffer.from(random.bytes(16))
  // RFC 5280 §4.1.2.2: positive, and 16 bytes whatever was drawn.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  const now = clock.now()
  const dates = { notBefore: secondsAfter(now, -SKEW_SECONDS), notAfter: secondsAfter(now, ttlSeconds) }
  const use = { kind: 'client', issuerSpki: spki } as const
  const terms = { serial, issuer: name, subject: name, ...dates, spki, use }
  return makeCertificate(terms, createPrivateKey(privateKey.reveal()))
}
