import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Secret } from './secret.ts'

/** Seals values at rest: a fresh key per record, wrapped by the root key; `place` binds the result to its row and column. */
export type Seal = {
  seal(value: Secret<Buffer> | Secret, place: string): Buffer
  /** Throws a `SealBroken` when the value was moved, changed or sealed under another root key. */
  open(sealed: Buffer, place: string): Secret<Buffer>
  /** Keyed per installation (rule 12): the same text has the same fingerprint here, and nobody else can guess it. 128 bits, hexadecimal. */
  fingerprint(text: string): string
}

/** A sealed value that does not open: the wrong root key, a row that was tampered with, or a value moved from another row. */
class SealBroken extends Error {
  override readonly name = 'SealBroken'
}

const KEY_BYTES = 32
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
      if (sealed[0] !== VERSION || sealed.length < 1 + WRAPPED_BYTES + IV_BYTES + TAG_BYTES) {
        throw new SealBroken(`the sealed value of ${place} is cut or of a later release`)
      }
      const recordKey = decrypt(rootKey.reveal(), sealed.subarray(1, 1 + WRAPPED_BYTES), `key:${place}`)
      return new Secret(decrypt(recordKey, sealed.subarray(1 + WRAPPED_BYTES), place))
    },
    fingerprint: (text) =>
      createHmac('sha256', rootKey.reveal()).update(`fingerprint:${text}`, 'utf8').digest('hex').slice(0, 32),
  }
}

/** Reads the root key from its file, making it (0600) when it is not there and `mayCreate` says that nothing was sealed before. */
export async function rootKeyFrom(file: string, mayCreate: boolean): Promise<Secret<Buffer>> {
  const found = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new Error(
      `the root key ${file} cannot be read (${error.code ?? 'unknown'}): give this user the right to read it`,
      { cause: error },
    )
  })
  if (found) return checked(file, found)
  if (!mayCreate) {
    throw new Error(
      `the root key ${file} is missing, and sealed values exist: restore the file from your key backup; nothing else opens them`,
    )
  }
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const key = randomBytes(KEY_BYTES)
  await writeFile(file, `${key.toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  await chmod(file, 0o600)
  return new Secret(key)
}

async function checked(file: string, text: Buffer): Promise<Secret<Buffer>> {
  const mode = (await stat(file)).mode & 0o077
  if (mode !== 0) throw new Error(`others may read the root key ${file}: run chmod 600 on it`)
  const key = Buffer.from(text.toString('ascii').trim(), 'base64')
  if (key.length !== KEY_BYTES) throw new Error(`the root key ${file} is damaged: it must hold 32 bytes in base64`)
  return new Secret(key)
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
