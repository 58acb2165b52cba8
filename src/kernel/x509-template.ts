/**
 * Certificates that differ in little, minted at the cost of their signature: what is signed is written once, with places for what changes, and
 * each certificate is a copy with these filled in.
 */
import { sha256 } from './crypto.ts'
import { objectId, sequence } from './der.ts'
import { certificateBody, type CertificateTerms, type CertificateUse } from './x509.ts'

/** What all certificates of a template have in common. */
type TemplateTerms = Pick<CertificateTerms, 'issuer' | 'subject'> & { readonly use: CertificateUse }

/** What each has of its own. Serials have `SERIAL_BYTES`, the first of them from 0x40 to 0x7f; keys are P-256. */
type Filling = Pick<CertificateTerms, 'serial' | 'notBefore' | 'notAfter' | 'spki'>

export const SERIAL_BYTES = 16

const ALGORITHM = sequence(objectId('1.2.840.10045.4.3.2'))
const SPKI_BYTES = 91
const KEY_ID_BYTES = 20
const FIRST_GENERALIZED_MS = Date.UTC(2050, 0, 1)
const SEQUENCE = 0x30

/** A certificate body with the places where the serial, the two times, the key and its id stand. */
export class CertificateTemplate {
  readonly #body: Buffer
  readonly #serialAt: number
  readonly #notBeforeAt: number
  readonly #notAfterAt: number
  readonly #spkiAt: number
  readonly #keyIdAt: number

  constructor(terms: TemplateTerms) {
    // Bytes that stand nowhere else in it.
    const serial = Buffer.alloc(SERIAL_BYTES, 0x5a)
    const spki = Buffer.alloc(SPKI_BYTES, 0xa5)
    const [notBefore, notAfter] = [new Date('2001-02-03T04:05:06Z'), new Date('2009-08-07T06:05:04Z')]
    this.#body = certificateBody({ ...terms, serial, spki, notBefore, notAfter })
    this.#serialAt = this.#placeOf(serial)
    this.#notBeforeAt = this.#placeOf(utcTime(notBefore))
    this.#notAfterAt = this.#placeOf(utcTime(notAfter))
    this.#spkiAt = this.#placeOf(spki)
    this.#keyIdAt = this.#placeOf(keyId(spki))
  }

  /** What is to be signed. Throws for a key that is not P-256, or a time that takes another form. */
  bodyOf({ serial, notBefore, notAfter, spki }: Filling): Buffer {
    const first = serial[0] ?? 0
    if (serial.length !== SERIAL_BYTES || first < 0x40 || first > 0x7f) throw new Error('the serial has another size')
    if (spki.length !== SPKI_BYTES) throw new Error('the key is not a P-256 key')
    // RFC 5280 §4.1.2.5: from 2050 on times have two more digits.
    if (notAfter.getTime() >= FIRST_GENERALIZED_MS) throw new Error('the certificate would outlive its template')
    const body = Buffer.from(this.#body)
    serial.copy(body, this.#serialAt)
    utcTime(notBefore).copy(body, this.#notBeforeAt)
    utcTime(notAfter).copy(body, this.#notAfterAt)
    spki.copy(body, this.#spkiAt)
    keyId(spki).copy(body, this.#keyIdAt)
    return body
  }

  #placeOf(bytes: Buffer): number {
    const at = this.#body.indexOf(bytes)
    if (at < 0 || this.#body.indexOf(bytes, at + 1) >= 0) throw new Error('a template has each of its places once')
    return at
  }
}

/** RFC 5280 §4.1: the body, the algorithm ECDSA with SHA-256, and its signature in DER as a bit string without unused bits. */
export function wrapped(body: Buffer, signature: Buffer): Buffer {
  const size = body.length + ALGORITHM.length + 3 + signature.length
  const headed = size < 0x100 ? [SEQUENCE, 0x81, size] : [SEQUENCE, 0x82, size >> 8, size & 0xff]
  const whole = Buffer.allocUnsafe(headed.length + size)
  whole.set(headed, 0)
  let at = headed.length
  at += body.copy(whole, at)
  at += ALGORITHM.copy(whole, at)
  // A P-256 signature has 72 bytes at most, so its length takes one.
  at = whole.writeUInt8(0x03, at)
  at = whole.writeUInt8(signature.length + 1, at)
  at = whole.writeUInt8(0, at)
  signature.copy(whole, at)
  return whole
}

/** Times as they were written last: what is minted in one second begins and ends in the same ones. */
const written = new Map<number, Buffer>()
const MOST_WRITTEN = 64

/** RFC 5280 §4.1.2.5.1: whole seconds. */
function utcTime(at: Date): Buffer {
  const second = Math.floor(at.getTime() / 1000)
  const known = written.get(second)
  if (known) return known
  if (written.size >= MOST_WRITTEN) written.clear()
  const made = utcTimeOf(at)
  written.set(second, made)
  return made
}

function utcTimeOf(at: Date): Buffer {
  const digits = at.toISOString()
  const pair = (from: number) => digits.slice(from, from + 2)
  return Buffer.from(`${pair(2)}${pair(5)}${pair(8)}${pair(11)}${pair(14)}${pair(17)}Z`, 'latin1')
}

function keyId(spki: Buffer): Buffer {
  return sha256(spki).subarray(0, KEY_ID_BYTES)
}
