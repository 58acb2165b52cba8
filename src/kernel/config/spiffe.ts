import { z } from 'zod'

/** SPIFFE-ID §2.1: lower-case letters, digits, dots, dashes and underscores, 255 bytes at most. */
export const Spiffe = z.strictObject({
  trustDomain: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[a-z0-9._-]+$/, 'a trust domain has lower-case letters, digits, dots, dashes and underscores')
    .optional()
    .describe('Trust domain of the SVIDs that workloads get, such as `example.org`. Without it none are issued.'),
})
