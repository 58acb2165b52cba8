import { createHash, generateKeyPair, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { Secret } from './secret.ts'

const generate = promisify(generateKeyPair)

/** A private key that stays where it was made, and its public half to show around. */
export type KeyPair = {
  /** PKCS #8 as PEM. */
  readonly privateKey: Secret
  /** SubjectPublicKeyInfo as PEM. */
  readonly publicKey: string
}

/** A new P-256 key pair: the one curve that every TLS client of ours and libpq can show a certificate for. */
export async function newKeyPair(): Promise<KeyPair> {
  const { privateKey, publicKey } = await generate('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return { privateKey: new Secret(privateKey), publicKey }
}

/** SHA-256 of the certificate's SubjectPublicKeyInfo as lower-case hex: what a pin names (RFC 7469 §2.4). Throws for what is no certificate. */
export function spkiSha256(certificate: string | Uint8Array): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('hex')
}
