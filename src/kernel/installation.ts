import { z } from 'zod'

/** Where a node says, to anybody who asks, what it is and how to reach its gateways. Nothing in it is secret. */
export const INSTALLATION_PATH = '/v1/installation'

export const Installation = z.object({
  version: z.string().max(100),
  /** PEM of the installation's CA. Trusted only by who knows the hash of its key from elsewhere: an enrolment link holds it. */
  authority: z.string().max(100_000).nullable(),
  gateways: z
    .array(
      z.object({
        protocol: z.string().max(63),
        /** Null where it is the API's own host, as the caller reached it. */
        host: z.string().max(253).nullable(),
        port: z.int().min(1).max(65_535),
      }),
    )
    .max(50),
})
export type Installation = z.output<typeof Installation>
