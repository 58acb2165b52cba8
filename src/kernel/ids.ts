import { z } from 'zod'

/** RFC 9562 §5.7: 48 bits of milliseconds, then random. Made here because PostgreSQL before 18 has no uuidv7(). */
export function uuidv7(atMs: number, random: Uint8Array): string {
  const at = atMs.toString(16).padStart(12, '0')
  const hex = (place: number) => HEX[random[place] ?? 0] ?? ''
  const third = HEX[0x70 | ((random[0] ?? 0) & 0x0f)] ?? ''
  const fourth = HEX[0x80 | ((random[2] ?? 0) & 0x3f)] ?? ''
  return (
    `${at.slice(0, 8)}-${at.slice(8)}-${third}${hex(1)}-${fourth}${hex(3)}-` +
    `${hex(4)}${hex(5)}${hex(6)}${hex(7)}${hex(8)}${hex(9)}`
  )
}

/** Each byte in two digits. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** An identifier made by us: UUIDv7, so that rows sort by birth. */
export const Id = z.uuid().meta({ classification: 'public' })

/** A name people type: also a part of user names on the wire, so it never holds `@`, `:` or `/`. */
export const Slug = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/, 'use lower-case letters, digits, dots, dashes and underscores')
  .meta({ classification: 'public' })
