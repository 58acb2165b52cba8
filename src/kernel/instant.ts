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

/** The instant that many milliseconds after 1970; undefined for what no `Date` can hold. */
export function instantAt(milliseconds: number): Date | undefined {
  const at = new Date(milliseconds)
  return Number.isNaN(at.getTime()) ? undefined : at
}
