import { createHash, createPrivateKey, createPublicKey, generateKeyPair, X509Certificate } from 'node:crypto'
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

/** A private key in PEM as PKCS #8 in DER. */
export function pkcs8Der(privateKey: Secret): Secret<Buffer> {
  return new Secret(createPrivateKey(privateKey.reveal()).export({ type: 'pkcs8', format: 'der' }))
}

/** The public half as OpenSSH has it in a `.pub` file (RFC 5656 §3.1): the curve by name, then the point, which DER ends in. */
export function opensshPublicKey({ publicKey }: Pick<KeyPair, 'publicKey'>): string {
  const point = createPublicKey(publicKey).export({ format: 'der', type: 'spki' }).subarray(-65)
  const fields = ['ecdsa-sha2-nistp256', 'nistp256', point].flatMap((field) => {
    const bytes = Buffer.from(field)
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bytes.length)
    return [size, bytes]
  })
  return `ecdsa-sha2-nistp256 ${Buffer.concat(fields).toString('base64')}`
}

/** SHA-256 of the certificate's SubjectPublicKeyInfo as lower-case hex: what a pin names (RFC 7469 §2.4). Throws for what is no certificate. */
export function spkiSha256(certificate: string | Uint8Array): string {
  if (typeof certificate === 'string') return pinOf(certificate)
  const known = pins.get(certificate)
  if (known !== undefined) return known
  const pin = pinOf(certificate)
  pins.set(certificate, pin)
  return pin
}

/** A connection shows the very same bytes with each of its requests, and nobody writes into them. */
const pins = new WeakMap<Uint8Array, string>()

function pinOf(certificate: string | Uint8Array): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('hex')
}
