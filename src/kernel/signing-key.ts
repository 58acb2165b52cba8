import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import { Secret } from './secret.ts'

export const SIGNING_ALGORITHMS = ['ES256', 'EdDSA'] as const
/** RFC 7518 §3.4 with P-256, and RFC 8037 with Ed25519. */
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]

/** A public key as published (RFC 7517), with nothing optional in it. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }

/** A key that signs. Keys held elsewhere (PKCS #11, a cloud) answer later, which is why what is signed may be awaited. */
export type SigningKey = {
  readonly algorithm: SigningAlgorithm
  readonly publicJwk: PublicJwk
  /** RFC 7638 thumbprint, base64url. */
  readonly kid: string
  /** The 64 bytes of a JWS signature over these bytes (RFC 7515 §5.1). */
  sign(message: Uint8Array): Buffer | Promise<Buffer>
  /** The same in DER, as certificates have it, of keys that make it so. */
  readonly signDer?: (message: Uint8Array) => Buffer
}

type LocalSigningKey = Omit<SigningKey, 'sign'> & { sign(message: Uint8Array): Buffer }

/** A new private key as PKCS #8 in DER. */
export function newSigningKey(algorithm: SigningAlgorithm): Secret<Buffer> {
  const { privateKey } =
    algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519')
  return new Secret(privateKey.export({ format: 'der', type: 'pkcs8' }))
}

/** A key of ours, ready to sign. Throws for any other kind of key. */
export function openSigningKey(pkcs8: Secret<Buffer>): LocalSigningKey {
  const key = createPrivateKey({ key: pkcs8.reveal(), format: 'der', type: 'pkcs8' })
  const publicJwk = jwkOf(createPublicKey(key))
  const isEc = publicJwk.kty === 'EC'
  return {
    algorithm: isEc ? 'ES256' : 'EdDSA',
    publicJwk,
    kid: jwkThumbprint(publicJwk).toString('base64url'),
    // Node's own conversion to the form of JWS halves the rate, so DER is taken and converted here.
    sign: isEc ? (message) => rawFromDer(sign('sha256', message, key)) : (message) => sign(null, message, key),
    ...(isEc && { signDer: (message: Uint8Array) => sign('sha256', message, key) }),
  }
}

/** What verifies signatures of a published key. */
export function openVerifyingKey(jwk: PublicJwk): (message: Uint8Array, signature: Uint8Array) => boolean {
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  if (jwk.kty === 'OKP') {
    return (message, signature) => signature.length === 64 && verify(null, message, key, signature)
  }
  return (message, signature) => signature.length === 64 && verify('sha256', message, key, derFromRaw(signature))
}

/** A public key of ours as it is published, from its SubjectPublicKeyInfo. Throws for any other kind of key. */
export function jwkOfSpki(spki: Uint8Array): PublicJwk {
  return jwkOf(createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }))
}

/** The SubjectPublicKeyInfo of a published key, in DER. */
export function spkiOfJwk(jwk: PublicJwk): Buffer {
  return createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ format: 'der', type: 'spki' })
}

/** RFC 7638: SHA-256 over the required members in the order of their names. */
export function jwkThumbprint(jwk: PublicJwk): Buffer {
  const { crv, kty, x } = jwk
  const members = jwk.kty === 'EC' ? { crv, kty, x, y: jwk.y } : { crv, kty, x }
  return createHash('sha256').update(JSON.stringify(members)).digest()
}

/** SHA-256 of the SubjectPublicKeyInfo of a public JWK; undefined for what is none. */
export function spkiSha256OfJwk(jwk: Readonly<Record<string, unknown>>): Buffer | undefined {
  try {
    const spki = createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ format: 'der', type: 'spki' })
    return createHash('sha256').update(spki).digest()
  } catch {
    return undefined
  }
}

function jwkOf(key: KeyObject): PublicJwk {
  const { kty, crv, x, y } = key.export({ format: 'jwk' })
  if (kty === 'EC' && crv === 'P-256' && x !== undefined && y !== undefined) return { kty, crv, x, y }
  if (kty === 'OKP' && crv === 'Ed25519' && x !== undefined) return { kty, crv, x }
  throw new Error('the key is neither of P-256 nor of Ed25519')
}

/** RFC 3279 §2.2.3 to RFC 7518 §3.4: two signed integers of any length to two unsigned ones of 32 bytes. */
export function rawFromDer(der: Buffer): Buffer {
  const raw = Buffer.alloc(64)
  // 0x30 len 0x02 len(r) r 0x02 len(s) s; for P-256 every length is below 128.
  const rLength = der[3] ?? 0
  const rEnd = 4 + rLength
  const sLength = der[rEnd + 1] ?? 0
  put(raw, 32, der, 4, rEnd)
  put(raw, 64, der, rEnd + 2, rEnd + 2 + sLength)
  return raw
}

/** Copies an integer so that it ends at `end`, without the zero that only says it is positive. */
function put(raw: Buffer, end: number, der: Buffer, from: number, to: number): void {
  const start = to - from > 32 ? to - 32 : from
  der.copy(raw, end - (to - start), start, to)
}

/** The way back: what certificates hold. */
export function derFromRaw(raw: Uint8Array): Buffer {
  const [r, s] = [integerOf(raw.subarray(0, 32)), integerOf(raw.subarray(32))]
  return Buffer.concat([Buffer.of(0x30, r.length + s.length), r, s])
}

function integerOf(bytes: Uint8Array): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const digits = bytes.subarray(start)
  const pad = (digits[0] ?? 0) >= 0x80 ? [0] : []
  return Buffer.from([0x02, digits.length + pad.length, ...pad, ...digits])
}
