import { digest, type DigestName } from '../../../kernel/crypto.ts'

// RFC 5929 §4.1, tls-server-end-point: the hash of the server's certificate by the hash of its signature algorithm, or SHA-256
// where that is MD5 or SHA-1.

const hashBySignature: Readonly<Record<string, DigestName>> = {
  // RFC 8017 A.2.4: md5, sha1, sha224, sha256, sha384 and sha512 with RSA
  '2a864886f70d010104': 'sha256',
  '2a864886f70d010105': 'sha256',
  '2a864886f70d01010e': 'sha224',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  // RFC 5758 §3.2: ECDSA with sha1, sha224, sha256, sha384, sha512
  '2a8648ce3d0401': 'sha256',
  '2a8648ce3d040301': 'sha224',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
}
const RSASSA_PSS = '2a864886f70d01010a'
const hashByOid: Readonly<Record<string, DigestName>> = {
  '2b0e03021a': 'sha256',
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
}
const SEQUENCE = 0x30
const OID = 0x06
const EXPLICIT_0 = 0xa0

/** The binding data for a certificate in DER; undefined where its signature has no single hash (Ed25519). */
export function serverEndPoint(certificate: Buffer): Buffer | undefined {
  const name = signatureHash(certificate)
  return name && digest(name, certificate)
}

function signatureHash(certificate: Buffer): DigestName | undefined {
  // RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
  const outer = element(certificate, 0)
  const signed = outer && element(certificate, outer.start)
  const algorithm = signed && element(certificate, signed.end)
  const oid = algorithm && element(certificate, algorithm.start)
  if (outer?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || oid?.tag !== OID) return undefined
  const name = certificate.toString('hex', oid.start, oid.end)
  return name === RSASSA_PSS ? pssHash(certificate, oid.end) : hashBySignature[name]
}

// RFC 4055 §3.1: RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] DEFAULT sha1, … }
function pssHash(certificate: Buffer, at: number): DigestName | undefined {
  const parameters = element(certificate, at)
  const first = parameters && parameters.end > parameters.start ? element(certificate, parameters.start) : undefined
  if (first?.tag !== EXPLICIT_0) return 'sha256'
  const algorithm = element(certificate, first.start)
  const oid = algorithm && element(certificate, algorithm.start)
  return oid && hashByOid[certificate.toString('hex', oid.start, oid.end)]
}

type Element = { readonly tag: number; readonly start: number; readonly end: number }

/** One DER element: where its content starts and ends. Undefined where it does not fit. */
function element(bytes: Buffer, at: number): Element | undefined {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) return undefined
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (lengthBytes > 4 || at + 2 + lengthBytes > bytes.length) return undefined
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)
  const start = at + 2 + lengthBytes
  return start + length > bytes.length ? undefined : { tag, start, end: start + length }
}
