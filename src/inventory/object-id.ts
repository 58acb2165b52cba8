import { sha256Hex } from '../kernel/crypto.ts'
import type { NativeId } from '../connectors/connector.ts'

/**
 * The id of a thing that a source names: RFC 9562 §5.8 (version 8), from the hash of the system's authority, the kind and the native id. Nobody
 * has to be asked for it, so things may name each other before they are seen, and across sources.
 */
export function objectId(authority: string, { kind, id, authority: elsewhere }: NativeId): string {
  return hashedId([elsewhere ?? authority, kind, id])
}

/** The same of any words. */
export function hashedId(words: readonly (string | null)[]): string {
  const hex = sha256Hex(JSON.stringify(words))
  const variant = VARIANTS[Number.parseInt(hex.charAt(16), 16) & 3] ?? ''
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

// RFC 9562 §4.1: the two highest bits are one and zero.
const VARIANTS = ['8', '9', 'a', 'b'] as const
