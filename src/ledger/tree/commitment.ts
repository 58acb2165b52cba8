import { sha256 } from '../../kernel/crypto.ts'

/**
 * What stands in a leaf for a personal value, as {"commitment":"<base64>"}: it binds the log to the value and says nothing
 * about it, for as long as the salt is kept apart. When salt and value are erased, the leaf stays valid and means nobody.
 */
export type Commitment = { readonly commitment: string }

/** As long as the hash, so that guesses of the value cannot be tried out. */
export const SALT_BYTES = 32

/** SHA-256(salt ‖ UTF-8 of value). */
export function commit(salt: Uint8Array, value: string): Buffer {
  if (salt.length !== SALT_BYTES) throw new TypeError(`A salt has ${SALT_BYTES} bytes.`)
  if (!value.isWellFormed()) throw new TypeError('A committed value is well-formed Unicode.')
  return sha256(Buffer.concat([salt, Buffer.from(value)]))
}

/** The commitment as a leaf's field holds it. */
export function commitmentField(salt: Uint8Array, value: string): Commitment {
  return { commitment: commit(salt, value).toString('base64') }
}

/** Whether this salt and value are what was committed to. */
export function opens(field: Commitment, salt: Uint8Array, value: string): boolean {
  if (salt.length !== SALT_BYTES || !value.isWellFormed()) return false
  return field.commitment === commitmentField(salt, value).commitment
}
