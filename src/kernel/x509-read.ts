/** Reads certificates of others, whatever is in them: what they say, which key they hold, how strong it is. */
import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto'
import { sha256 } from './crypto.ts'
import type { Secret } from './secret.ts'

/** No certificate of an honest authority is near this. */
const CERTIFICATE_BYTES = 65_536
const NAMES_MAX = 200

export type CertificateFacts = {
  readonly subject: string
  readonly issuer: string
  /** In hexadecimal. */
  readonly serial: string
  /** `DNS:a.example`, `IP Address:192.0.2.1`, as OpenSSL writes them. */
  readonly names: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date | 'never'
  /** SHA-256 of the SubjectPublicKeyInfo, in hexadecimal: the same key, the same value, whatever certificate it is in. */
  readonly spkiSha256: string
  readonly sha256: string
  readonly signatureAlgorithm: string
  readonly keyType: string
  readonly keyBits: number | undefined
  readonly curve: string | undefined
  /** Object identifiers of extended key usages. */
  readonly purposes: readonly string[]
  readonly isAuthority: boolean
  readonly isSelfSigned: boolean
  readonly weaknesses: readonly Weakness[]
}
type Weakness = { readonly degree: 'weak' | 'deprecated'; readonly why: string }

/** Undefined for what is no certificate. */
export function readCertificate(der: Uint8Array): CertificateFacts | undefined {
  if (der.length > CERTIFICATE_BYTES) return undefined
  try {
    const certificate = new X509Certificate(der)
    const { raw, subject, issuer, validFromDate, validToDate } = certificate
    const spki = spkiIn(raw)
    if (!spki || !isDate(validFromDate) || !isDate(validToDate)) return undefined
    const key = keyOf(certificate)
    const { modulusLength, namedCurve } = key?.asymmetricKeyDetails ?? {}
    const facts = {
      subject: oneLine(subject),
      issuer: oneLine(issuer),
      serial: certificate.serialNumber.toLowerCase(),
      names: namesOf(certificate.subjectAltName ?? ''),
      notBefore: validFromDate,
      notAfter: isForEver(validToDate) ? ('never' as const) : validToDate,
      spkiSha256: sha256(spki).toString('hex'),
      sha256: sha256(raw).toString('hex'),
      signatureAlgorithm: certificate.signatureAlgorithm ?? 'unknown',
      keyType: key?.asymmetricKeyType ?? 'unknown',
      keyBits: modulusLength ?? curveBits(namedCurve),
      curve: namedCurve,
      purposes: (certificate.keyUsage ?? []).slice(0, NAMES_MAX),
      isAuthority: certificate.ca,
      isSelfSigned: isSelfSigned(certificate, key),
    }
    return { ...facts, weaknesses: weaknessesOf(facts) }
  } catch {
    return undefined
  }
}

/**
 * SHA-256 of the public half of a private key in PEM or DER, in hexadecimal: what its certificate has as well. Undefined when it is encrypted, or
 * nothing that OpenSSL reads.
 */
export function publicHashOf(privateKey: Secret<Buffer>): string | undefined {
  const key = privateKey.reveal()
  if (key.includes('-----BEGIN ')) return hashOfPublic(() => createPrivateKey(key))
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    const hash = hashOfPublic(() => createPrivateKey({ key, format: 'der', type }))
    if (hash !== undefined) return hash
  }
  return undefined
}

function hashOfPublic(read: () => KeyObject): string | undefined {
  try {
    return sha256(createPublicKey(read()).export({ format: 'der', type: 'spki' })).toString('hex')
  } catch {
    return undefined
  }
}

function isDate(date: Date): boolean {
  return !Number.isNaN(date.getTime())
}

// RFC 5280 §4.1.2.5: 99991231235959Z says that there is no end.
function isForEver(date: Date): boolean {
  return date.getTime() >= Date.UTC(9999, 11, 31, 23, 59, 59)
}

function oneLine(name: string | undefined): string {
  // OpenSSL escapes line ends inside of a value, so these separate.
  return (name ?? '').split('\n').join(', ')
}

/** Node quotes a name that holds a comma. */
function namesOf(text: string): string[] {
  const names = text.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)
  return [...names.map(([name]) => name.trim()).take(NAMES_MAX)]
}

function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey
  } catch {
    return undefined
  }
}

function isSelfSigned(certificate: X509Certificate, key: KeyObject | undefined): boolean {
  if (!key || certificate.subject !== certificate.issuer) return false
  try {
    return certificate.verify(key)
  } catch {
    return false
  }
}

function curveBits(curve: string | undefined): number | undefined {
  const digits = /(\d{3})/.exec(curve ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits)
}

type Judged = Pick<CertificateFacts, 'signatureAlgorithm' | 'keyType' | 'keyBits' | 'isSelfSigned' | 'isAuthority'>

// NIST SP 800-131A r2: RSA of 2048 bits and curves of 224 at least; SHA-1 and DSA not for signatures any more.
const LEAST_RSA_BITS = 2048
const LEAST_CURVE_BITS = 224

function weaknessesOf({ signatureAlgorithm, keyType, keyBits, isSelfSigned: isOwn, isAuthority }: Judged): Weakness[] {
  const weaknesses: Weakness[] = []
  const digest = /md[245]|sha-?1(?!\d)/i.exec(signatureAlgorithm)?.[0].toUpperCase()
  // Nobody checks the signature of a root over itself: it is trusted by being listed.
  if (digest !== undefined && !(isOwn && isAuthority))
    weaknesses.push({ degree: 'deprecated', why: `it is signed over ${digest}` })
  if (keyType === 'dsa') weaknesses.push({ degree: 'deprecated', why: 'its key is of type DSA' })
  if (keyType.startsWith('rsa') && (keyBits ?? 0) < LEAST_RSA_BITS)
    weaknesses.push({ degree: 'weak', why: `its RSA key has ${keyBits ?? 'few'} bits` })
  if (keyType === 'ec' && keyBits !== undefined && keyBits < LEAST_CURVE_BITS)
    weaknesses.push({ degree: 'weak', why: `its curve has ${keyBits} bits` })
  return weaknesses
}

type Element = { readonly tag: number; readonly from: number; readonly to: number; readonly start: number }

/** One element of DER (X.690 §8.1) at `at`; undefined when it does not fit in what is there. */
function elementAt(bytes: Uint8Array, at: number, end: number): Element | undefined {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) return undefined
  let [from, size] = [at + 2, first]
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count < 1 || count > 4) return undefined
    size = 0
    for (const byte of bytes.subarray(from, from + count)) size = size * 256 + byte
    from += count
  }
  return from + size <= end ? { tag, from, to: from + size, start: at } : undefined
}

const VERSION = 0xa0
/** RFC 5280 §4.1: serial, algorithm, issuer, validity and subject stand before the key. */
const BEFORE_THE_KEY = 5

/** The SubjectPublicKeyInfo as it stands in the certificate, also of an algorithm that OpenSSL does not know. */
function spkiIn(der: Uint8Array): Uint8Array | undefined {
  const outer = elementAt(der, 0, der.length)
  const body = outer && elementAt(der, outer.from, outer.to)
  let next = body && elementAt(der, body.from, body.to)
  if (next?.tag === VERSION && body) next = elementAt(der, next.to, body.to)
  for (let passed = 0; passed < BEFORE_THE_KEY; passed += 1) next = body && next && elementAt(der, next.to, body.to)
  return next && der.subarray(next.start, next.to)
}
