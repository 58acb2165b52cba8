import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { Secret } from './secret.ts'

/** Seals values at rest: a fresh key per record, wrapped by the root key; `place` binds the result to its row and column. */
export type Seal = {
  seal(value: Secret<Buffer> | Secret, place: string): Buffer
  /** Throws a `SealBroken` when the value was moved, changed or sealed under another root key. */
  open(sealed: Buffer, place: string): Secret<Buffer>
  /** Keyed per installation (rule 12): the same text has the same fingerprint here, and nobody else can guess it. 128 bits, hexadecimal. */
  fingerprint(text: string): string
  /** Which root key this is, for people: twelve hexadecimal digits that say nothing else of it. */
  readonly keyId: string
  /** The same value with its record key under the root key of `next`; the value itself stays shut. Undefined where it is there already. */
  rewrap(sealed: Buffer, place: string, next: Secret<Buffer>): Buffer | undefined
}

/** A sealed value that does not open: the wrong root key, a row that was tampered with, or a value moved from another row. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken'
}

/** Of a root key and of every record key: AES-256. */
export const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
const VERSION = 1
const WRAPPED_BYTES = IV_BYTES + KEY_BYTES + TAG_BYTES

/** A seal under `rootKey` (32 bytes). AES-256-GCM (NIST SP 800-38D), envelope per record. */
export function sealUnder(rootKey: Secret<Buffer>): Seal {
  if (rootKey.reveal().length !== KEY_BYTES) throw new Error('the root key must be 32 bytes')
  return {
    seal(value, place) {
      const plain = value.reveal()
      const recordKey = randomBytes(KEY_BYTES)
      const wrapped = encrypt(rootKey.reveal(), recordKey, `key:${place}`)
      const body = encrypt(recordKey, typeof plain === 'string' ? Buffer.from(plain, 'utf8') : plain, place)
      return Buffer.concat([Buffer.of(VERSION), wrapped, body])
    },
    open(sealed, place) {
      mustBeWhole(sealed, place)
      const recordKey = decrypt(rootKey.reveal(), sealed.subarray(1, 1 + WRAPPED_BYTES), `key:${place}`)
      return new Secret(decrypt(recordKey, sealed.subarray(1 + WRAPPED_BYTES), place))
    },
    fingerprint: (text) =>
      createHmac('sha256', rootKey.reveal()).update(`fingerprint:${text}`, 'utf8').digest('hex').slice(0, 32),
    // Asked for seldom, and many seals are made for one value.
    get keyId() {
      return keyIdOf(rootKey)
    },
    rewrap(sealed, place, next) {
      mustBeWhole(sealed, place)
      const wrapped = sealed.subarray(1, 1 + WRAPPED_BYTES)
      if (isUnder(next, wrapped, place)) return undefined
      const recordKey = decrypt(rootKey.reveal(), wrapped, `key:${place}`)
      const again = encrypt(next.reveal(), recordKey, `key:${place}`)
      return Buffer.concat([Buffer.of(VERSION), again, sealed.subarray(1 + WRAPPED_BYTES)])
    },
  }
}

/** Tells one root key from another without knowing it: what is written beside the rows and printed in refusals. */
export function keyIdOf(rootKey: Secret<Buffer>): string {
  return createHmac('sha256', rootKey.reveal()).update('root key id', 'utf8').digest('hex').slice(0, 12)
}

function mustBeWhole(sealed: Buffer, place: string): void {
  if (sealed[0] === VERSION && sealed.length >= 1 + WRAPPED_BYTES + IV_BYTES + TAG_BYTES) return
  throw new SealBroken(`the sealed value of ${place} is cut or of a later release`)
}

function isUnder(rootKey: Secret<Buffer>, wrapped: Buffer, place: string): boolean {
  try {
    decrypt(rootKey.reveal(), wrapped, `key:${place}`)
    return true
  } catch (error) {
    if (error instanceof SealBroken) return false
    throw error
  }
}

function encrypt(key: Buffer, plain: Buffer, place: string): Buffer {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(place, 'utf8'))
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, place: string): Buffer {
  const iv = sealed.subarray(0, IV_BYTES)
  const tag = sealed.subarray(sealed.length - TAG_BYTES)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(place, 'utf8'))
      .setAuthTag(tag)
    return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, sealed.length - TAG_BYTES)), decipher.final()])
  } catch (error) {
    throw new SealBroken(`the sealed value of ${place} does not open: wrong root key, or the row was changed`, {
      cause: error,
    })
  }
}
