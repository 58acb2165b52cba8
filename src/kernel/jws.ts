/** Compact JWS (RFC 7515 §3.1): verified by keys of others with the algorithms of RFC 7518 that JWT-SVIDs may have, and signed for APIs that ask for one. */
import { constants, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import type { Secret } from './secret.ts'

type Claims = Readonly<Record<string, unknown>>
/** A public key (RFC 7517); one with a name is for what names it. */
type Jwk = Readonly<Record<string, unknown>>

const HASHES: Readonly<Record<string, string>> = { '256': 'sha256', '384': 'sha384', '512': 'sha512' }
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
const MOST_CHARS = 16_384
const RSA_LEAST_BITS = 2048

/** Header and claims, if one of the keys that the header names signed them; undefined for anything else. */
export function verifyJws(
  token: string,
  keys: readonly Jwk[],
): { readonly header: Claims; readonly claims: Claims } | undefined {
  const [head = '', body = '', signature = '', more] = token.length <= MOST_CHARS ? token.split('.') : []
  const [header, claims] = [objectIn(head), objectIn(body)]
  if (more !== undefined || !header || !claims || !isBase64Url(signature)) return undefined
  const { alg, kid, crit } = header
  if (typeof alg !== 'string' || typeof kid !== 'string' || crit !== undefined) return undefined
  const signed = Buffer.from(`${head}.${body}`, 'latin1')
  const bytes = Buffer.from(signature, 'base64url')
  const isSigned = keys.some((jwk) => jwk['kid'] === kid && isBy(jwk, alg, signed, bytes))
  return isSigned ? { header, claims } : undefined
}

/** Signed by a private RSA key in PEM; undefined where it is none of at least 2048 bits. */
export function signedJws(
  header: Claims & { readonly alg: 'RS256' | 'PS256' },
  claims: Claims,
  privateKey: Secret,
): string | undefined {
  const key = rsaKeyIn(privateKey)
  if (!key) return undefined
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  // RFC 7518 §3.5: the salt is as long as the hash.
  const how =
    header.alg === 'PS256'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { padding: constants.RSA_PKCS1_PADDING }
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, ...how }).toString('base64url')}`
}

function rsaKeyIn(pem: Secret): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem.reveal())
    return isLongEnough(key) ? key : undefined
  } catch {
    return undefined
  }
}

/** The claims of a token, of which nothing is known yet. */
export function unverifiedJwsClaims(token: string): Claims | undefined {
  return token.length <= MOST_CHARS ? objectIn(token.split('.')[1] ?? '') : undefined
}

function isBy(jwk: Jwk, alg: string, signed: Buffer, signature: Buffer): boolean {
  const [, family, bits = ''] = /^(ES|RS|PS)(256|384|512)$/.exec(alg) ?? []
  const hash = HASHES[bits]
  try {
    const key = hash === undefined ? undefined : createPublicKey({ key: { ...jwk }, format: 'jwk' })
    if (!key || hash === undefined) return false
    if (family === 'ES')
      return isBySameCurve(jwk, alg) && verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
    if (!isLongEnough(key)) return false
    const padding = family === 'PS' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
    const salt = family === 'PS' ? { saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}
    return verify(hash, signed, { key, padding, ...salt }, signature)
  } catch {
    return false
  }
}

function isBySameCurve({ kty, crv }: Jwk, alg: string): boolean {
  return kty === 'EC' && crv === CURVES[alg]
}

function isLongEnough(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_LEAST_BITS
}

function objectIn(part: string): Claims | undefined {
  if (!isBase64Url(part)) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function isBase64Url(text: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(text)
}
