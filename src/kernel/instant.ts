import { z } from 'zod'

/** RFC 3339 text on the wire, `Date` in memory. */
export const Instant = z
  .codec(z.iso.datetime({ offset: true }), z.date(), {
    decode: (text) => new Date(text),
    encode: (date) => date.toISOString(),
  })
  .meta({ classification: 'public' })

/** Whether a value is an instant in memory. */
export function isInstant(value: unknown): value is Date {
  return value instanceof Date
}
