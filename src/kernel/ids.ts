import { z } from 'zod'

/** RFC 9562 §5.7: 48 bits of milliseconds, then random. Made here because PostgreSQL before 18 has no uuidv7(). */
export function uuidv7(atMs: number, random: Uint8Array): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(atMs, 0, 6)
  bytes.set(random.subarray(0, 10), 6)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** An identifier made by us: UUIDv7, so that rows sort by birth. */
export const Id = z.uuid().meta({ classification: 'public' })

/** A name people type: also a part of user names on the wire, so it never holds `@`, `:` or `/`. */
export const Slug = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/, 'use lower-case letters, digits, dots, dashes and underscores')
  .meta({ classification: 'public' })
