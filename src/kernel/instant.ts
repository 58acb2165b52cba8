import { z } from 'zod'

/** RFC 3339 text on the wire, `Date` in memory. */
export const Instant = z
  .codec(z.iso.datetime({ offset: true }), z.date(), {
    decode: (text) => new Date(text),
    encode: (date) => date.toISOString(),
  })
  .meta({ classification: 'public' })
