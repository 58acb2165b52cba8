import { InvalidProof } from './invalid.ts'

/** RFC 4648 §4, and only the one spelling an encoder writes: two texts must never mean the same bytes. */
export function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new InvalidProof('This is not standard base64.')
  return bytes
}

/** A base64 SHA-256 hash. */
export function decodeHash(text: string): Buffer {
  const bytes = decodeBase64(text)
  if (bytes.length !== 32) throw new InvalidProof('A hash has 32 bytes.')
  return bytes
}

/** An ASCII decimal without leading zeroes that a number holds exactly. */
export function decodeCount(text: string): number {
  const count = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(count)) throw new InvalidProof('This is not a whole number.')
  return count
}
