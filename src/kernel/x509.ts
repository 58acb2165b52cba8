import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  objectId,
  octetString,
  sequence,
  setOf,
  time,
  utf8String,
} from './der.ts'
import { derFromRaw, type SigningKey } from './signing-key.ts'

/** What a certificate says. Keys are P-256 (core 25): an Ed25519 certificate breaks libpq's SCRAM channel binding. */
export type CertificateTerms = {
  readonly serial: Buffer
  readonly issuer: string
  readonly subject: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** DER of the subject's public key. */
  readonly spki: Buffer
  readonly use: CertificateUse
}

export type CertificateUse =
  | { readonly kind: 'authority' }
  | { readonly kind: 'server'; readonly names: readonly string[]; readonly issuerSpki: Buffer }
  | { readonly kind: 'client'; readonly issuerSpki: Buffer }
  /** SPIFFE X509-SVID §4: a leaf with exactly one URI, good for both sides of TLS; its authority names the trust domain. */
  | { readonly kind: 'svid'; readonly uri: string; readonly issuerSpki: Buffer }
  | { readonly kind: 'svid-authority'; readonly uri: string }

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

// RFC 5280 §4.2.1.3, as bit strings: digitalSignature is bit 0, keyCertSign bit 5, cRLSign bit 6.
const DIGITAL_SIGNATURE = bitString(Buffer.of(0b1000_0000), 7)
const CERT_AND_CRL_SIGN = bitString(Buffer.of(0b0000_0110), 1)

/** A certificate in PEM, signed by `issuerKey` with ECDSA and SHA-256 (RFC 5280 §4.1, RFC 5758 §3.2). */
export function makeCertificate(terms: CertificateTerms, issuerKey: KeyObject): string {
  const body = certificateBody(terms)
  return pemOf(certificateOf(body, sign('sha256', body, issuerKey)))
}

/** The same, signed by a key that may be held elsewhere. */
export async function signCertificate(terms: CertificateTerms, issuerKey: Pick<SigningKey, 'sign'>): Promise<string> {
  const body = certificateBody(terms)
  return pemOf(certificateOf(body, derFromRaw(await issuerKey.sign(body))))
}

/** RFC 5280 §4.1: the body, the algorithm, and the signature in DER as a bit string. */
export function certificateOf(body: Buffer, signature: Buffer): Buffer {
  return sequence(body, ECDSA_WITH_SHA256, bitString(signature))
}

/** A certificate as PEM, from its DER (RFC 7468 §5). */
export function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const ECDSA_WITH_SHA256 = sequence(objectId(OID.ecdsaWithSha256))

/** What is signed: the `TBSCertificate` of RFC 5280 §4.1. */
export function certificateBody(terms: CertificateTerms): Buffer {
  return sequence(
    explicit(0, integer(2)),
    integer(terms.serial),
    ECDSA_WITH_SHA256,
    nameOf(terms.issuer),
    sequence(time(terms.notBefore), time(terms.notAfter)),
    nameOf(terms.subject),
    terms.spki,
    explicit(3, sequence(...extensions(terms))),
  )
}

/** The public key in its one DER form; throws unless it is a P-256 key. */
export function p256Spki(spki: Uint8Array): Buffer {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('the key is not a P-256 key')
  }
  return key.export({ format: 'der', type: 'spki' })
}

function extensions({ use, spki }: CertificateTerms): Buffer[] {
  const subjectKey = extension(OID.subjectKeyId, false, octetString(keyId(spki)))
  if (use.kind === 'authority' || use.kind === 'svid-authority') {
    return [
      extension(OID.basicConstraints, true, sequence(boolean(true), integer(0))),
      extension(OID.keyUsage, true, CERT_AND_CRL_SIGN),
      subjectKey,
      ...(use.kind === 'authority' ? [] : [uriName(use.uri)]),
    ]
  }
  if (use.kind === 'client') return [...leafExtensions(use.issuerSpki, OID.clientAuth), subjectKey]
  if (use.kind === 'svid') {
    return [...leafExtensions(use.issuerSpki, OID.serverAuth, OID.clientAuth), subjectKey, uriName(use.uri)]
  }
  const names = extension(OID.subjectAltName, false, sequence(...use.names.map(altName)))
  return [...leafExtensions(use.issuerSpki, OID.serverAuth), subjectKey, names]
}

/** RFC 5280 §4.2.1.6: uniformResourceIdentifier [6] IA5String. */
function uriName(uri: string): Buffer {
  return extension(OID.subjectAltName, false, sequence(implicit(6, Buffer.from(uri, 'ascii'))))
}

function leafExtensions(issuerSpki: Buffer, ...purposes: string[]): Buffer[] {
  return [
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, DIGITAL_SIGNATURE),
    extension(OID.extendedKeyUsage, false, sequence(...purposes.map(objectId))),
    extension(OID.authorityKeyId, false, sequence(implicit(0, keyId(issuerSpki)))),
  ]
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  return isCritical
    ? sequence(objectId(id), boolean(true), octetString(value))
    : sequence(objectId(id), octetString(value))
}

function nameOf(commonName: string): Buffer {
  return sequence(setOf(sequence(objectId(OID.commonName), utf8String(commonName))))
}

// RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the key. Any bytes do that are the same for the same key.
function keyId(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20)
}

// RFC 5280 §4.2.1.6: dNSName [2] IA5String, iPAddress [7] OCTET STRING.
function altName(name: string): Buffer {
  if (isIP(name) !== 0) return implicit(7, addressBytes(name))
  if (!/^(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(name))
    throw new Error(`${name} is not a name a certificate can hold`)
  return implicit(2, Buffer.from(name, 'ascii'))
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  // The URL parser writes every form of an IPv6 address as groups of hexadecimal digits.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail = ''] = text.split('::')
  const left = head.split(':').filter(Boolean)
  const right = tail.split(':').filter(Boolean)
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex')
}
