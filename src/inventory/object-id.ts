import { sha256Latin1 } from '../kernel/crypto.ts'
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
  const hash = Buffer.from(sha256Latin1(Buffer.from(JSON.stringify(words), 'utf8')), 'latin1')
  hash[6] = 0x80 | ((hash[6] ?? 0) & 0x0f)
  hash[8] = 0x80 | ((hash[8] ?? 0) & 0x3f)
  const hex = hash.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
