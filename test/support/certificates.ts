import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
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
} from '../../src/kernel/der.ts'
import { pemOf } from '../../src/kernel/x509.ts'

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
type Digest = 'sha256' | 'sha1' | 'md5'
export type Wanted = {
  readonly subject: string
  readonly key?: Pair
  readonly issuer?: { readonly subject: string; readonly key: Pair }
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly digest?: Digest
  readonly names?: readonly string[]
  readonly isAuthority?: boolean
}

// RFC 5758 §3.2, RFC 8017 §A.2.4.
const ECDSA: Readonly<Partial<Record<Digest, string>>> = { sha256: '1.2.840.10045.4.3.2', sha1: '1.2.840.10045.4.1' }
const RSA: Readonly<Record<Digest, string>> = {
  sha256: '1.2.840.113549.1.1.11',
  sha1: '1.2.840.113549.1.1.5',
  md5: '1.2.840.113549.1.1.4',
}
const NULL = Buffer.of(5, 0)
let serials = 1

export function ecKey(): Pair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}
export function rsaKey(bits: number): Pair {
  return generateKeyPairSync('rsa', { modulusLength: bits })
}
export function pemKey({ privateKey }: Pair, passphrase?: string): string {
  const protection = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }).toString()
}

/** A certificate in DER of whatever kind: by algorithms, too, that nobody should use. */
export function certificateOf(wanted: Wanted): { readonly der: Buffer; readonly pem: string; readonly key: Pair } {
  const { subject, key = ecKey(), digest = 'sha256', names = [], isAuthority = false } = wanted
  const issuer = wanted.issuer ?? { subject, key }
  const isRsa = issuer.key.privateKey.asymmetricKeyType === 'rsa'
  const id = objectId((isRsa ? RSA[digest] : ECDSA[digest]) ?? '')
  const algorithm = isRsa ? sequence(id, NULL) : sequence(id)
  const extensions = [
    ...(isAuthority ? [sequence(objectId('2.5.29.19'), boolean(true), octetString(sequence(boolean(true))))] : []),
    ...(names.length > 0
      ? [sequence(objectId('2.5.29.17'), octetString(sequence(...names.map((name) => implicit(2, Buffer.from(name))))))]
      : []),
  ]
  const body = sequence(
    explicit(0, integer(2)),
    integer(Buffer.from([0x10, (serials >> 8) & 0xff, serials++ & 0xff])),
    algorithm,
    nameOf(issuer.subject),
    sequence(
      time(wanted.notBefore ?? new Date('2020-01-01T00:00:00Z')),
      time(wanted.notAfter ?? new Date('2045-01-01T00:00:00Z')),
    ),
    nameOf(subject),
    key.publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [explicit(3, sequence(...extensions))] : []),
  )
  const der = sequence(body, algorithm, bitString(sign(digest, body, issuer.key.privateKey)))
  return { der, pem: pemOf(der), key }
}

function nameOf(commonName: string): Buffer {
  return sequence(setOf(sequence(objectId('2.5.4.3'), utf8String(commonName))))
}
