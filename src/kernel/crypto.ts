import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  pbkdf2,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto'
import type { Secret } from './secret.ts'

/** SHA-256 of bytes, or of a string's UTF-8. */
export function sha256(data: Uint8Array | string): Buffer {
  return Buffer.from(hash('sha256', data, 'binary'), 'latin1')
}

/** SHA-256 as 32 latin1 characters: no buffer is made per digest, which is more than twice as fast in a tree of a million. */
export function sha256Latin1(data: Uint8Array | string): string {
  return hash('sha256', data, 'binary')
}

/** SHA-256 in hexadecimal; a string is hashed as UTF-8. */
export function sha256Hex(data: Uint8Array | string): string {
  return hash('sha256', data, 'hex')
}

/** One Ed25519 key that can sign; the seed stays inside. */
export type Ed25519Signer = {
  /** RFC 8032 §5.1.5: 32 bytes. */
  readonly publicKey: Buffer
  sign(message: Uint8Array): Buffer
}

// RFC 8410 §7: a PKCS #8 wrapper of fixed bytes around the 32-byte seed.
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
// RFC 8410 §4: the same for a public key.
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex')

/** A signer from its 32-byte seed. */
export function ed25519Signer(seed: Secret<Buffer>): Ed25519Signer {
  const bytes = seed.reveal()
  if (bytes.length !== 32) throw new Error('An Ed25519 seed has 32 bytes.')
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, bytes]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_ED25519.length)
  return { publicKey: Buffer.from(publicKey), sign: (message) => sign(null, message, key) }
}

/** Whether `signature` is the 32-byte public key's over exactly these bytes; false too when a length is wrong. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  const key = createPublicKey({ key: Buffer.concat([SPKI_ED25519, publicKey]), format: 'der', type: 'spki' })
  return verify(null, message, key, signature)
}

export type DigestName = 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** A digest chosen by what a certificate or a protocol names. */
export function digest(name: DigestName, data: Uint8Array): Buffer {
  return createHash(name).update(data).digest()
}

export function hmacSha256(key: Uint8Array, data: Uint8Array | string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

/** PBKDF2 with HMAC-SHA-256 and 32 bytes of key, off the main thread. */
export function pbkdf2Sha256(password: Uint8Array | string, salt: Uint8Array, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, 32, 'sha256', (error, key) => (error ? reject(error) : resolve(key)))
  })
}

/** Whether two byte strings are equal, in time that does not depend on where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/**
 * What PostgreSQL stores for a SCRAM login (RFC 5803, RFC 5802 §3), computed here so that the server never sees the secret. The secret must be
 * ASCII, which SASLprep leaves alone.
 */
export async function scramVerifier(secret: Secret, salt: Uint8Array, iterations: number): Promise<string> {
  // One round is one HMAC (RFC 8018 §5.2), which costs less than the way to another thread and back.
  const first = () => hmacSha256(Buffer.from(secret.reveal()), Buffer.concat([salt, Buffer.from([0, 0, 0, 1])]))
  const salted = iterations === 1 ? first() : await pbkdf2Sha256(secret.reveal(), salt, iterations)
  const storedKey = sha256(hmacSha256(salted, 'Client Key'))
  const serverKey = hmacSha256(salted, 'Server Key')
  const [saltText, stored, server] = [Buffer.from(salt), storedKey, serverKey].map((bytes) => bytes.toString('base64'))
  return `SCRAM-SHA-256$${iterations}:${saltText}$${stored}:${server}`
}

/** SHA-256 over a stream of bytes. */
export type RunningSha256 = {
  update(bytes: Uint8Array): void
  /** The digest of everything so far; more may follow. */
  digestSoFar(): Buffer
}

export function runningSha256(): RunningSha256 {
  const hash = createHash('sha256')
  return {
    update: (bytes) => {
      hash.update(bytes)
    },
    digestSoFar: () => hash.copy().digest(),
  }
}

/** A public key as PEM, read: its SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) and what it is. Undefined for anything else. */
export function readPublicKey(pem: string): { spki: Buffer; algorithm: 'p-256' | 'ed25519' | 'other' } | undefined {
  try {
    // Node would also take a private key or a certificate here; those have no business with us.
    if (!pem.trimStart().startsWith('-----BEGIN PUBLIC KEY-----')) return undefined
    const key = createPublicKey(pem)
    const isP256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    const algorithm = isP256 ? 'p-256' : key.asymmetricKeyType === 'ed25519' ? 'ed25519' : 'other'
    return { spki: key.export({ format: 'der', type: 'spki' }), algorithm }
  } catch {
    return undefined
  }
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** Whether a certificate was issued by this authority (PEM) for clients and holds now. That its key was shown is what TLS proves. */
export function isClientCertificateOf(authority: string, certificate: X509Certificate, now: Date): boolean {
  const issuer = new X509Certificate(authority)
  return (
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey) &&
    certificate.validFromDate <= now &&
    now < certificate.validToDate &&
    !certificate.ca &&
    (certificate.keyUsage ?? []).includes(CLIENT_AUTH)
  )
}

/** DER of the first certificate in a PEM text. Throws for what is none. */
export function certificateDer(pem: string): Buffer {
  return new X509Certificate(pem).raw
}

/** What MySQL and MariaDB keep of a password for `mysql_native_password`: `*` and the SHA-1 of its SHA-1 in hex. */
export function nativePasswordHash(password: string): string {
  const once = Buffer.from(hash('sha1', password, 'binary'), 'latin1')
  return `*${hash('sha1', once, 'hex').toUpperCase()}`
}

/** What directories keep of a password as `{SSHA}`: the SHA-1 of password and salt, and the salt. It carries only what cannot be guessed. */
export function saltedSha1(password: string, salt: Buffer): string {
  const digest = createHash('sha1').update(password, 'utf8').update(salt).digest()
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`
}
