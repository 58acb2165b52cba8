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

/** RFC 3339 §5.6 has four digits for a year, and PostgreSQL no year 0. */
const [FIRST_MS, LAST_MS] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59.999Z')]

/** Where an instant stands to those that can be written in four digits: a clock or a file of somebody else may hold any. */
export function placeInTime(at: Date): 'yes' | 'too-early' | 'too-late' {
  const time = at.getTime()
  if (time > LAST_MS) return 'too-late'
  return time >= FIRST_MS ? 'yes' : 'too-early'
}
